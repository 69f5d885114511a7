// One of two texts, with the words marked that the other one lacks.
export default {
  props: {
    pieces: { type: Array, required: true },
    added: { type: Boolean, default: false },
  },
  template: `
<div dir="auto" tabindex="0" role="region" :aria-label="added ? 'Answer of run B' : 'Answer of run A'"
  style="white-space: pre-wrap; overflow-wrap: anywhere; max-height: 40rem; overflow-y: auto"
  ><template v-for="(piece, i) in pieces" :key="i"><mark v-if="piece[0]"
  :style="'color: inherit; text-decoration: underline; text-decoration-thickness: 2px; text-underline-offset: 3px; ' +
    (added ? 'text-decoration-color: var(--smcs-good); background: var(--smcs-good-soft)'
           : 'text-decoration-style: dashed; text-decoration-color: var(--smcs-bad); background: var(--smcs-bad-soft)')"
  >{{ piece[1] }}</mark><template v-else>{{ piece[1] }}</template></template></div>`,
};
