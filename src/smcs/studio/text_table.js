// A table of texts. A cell may have an icon, a tone and a link; all of it is shown as text.
export default {
  props: {
    caption: { type: String, required: true },
    columns: { type: Array, required: true },
    rows: { type: Array, required: true },
    marker: { type: String, default: null },
  },
  template: `
<div class="smcs-scroll" role="region" :aria-label="caption" tabindex="0">
  <table class="smcs-table">
    <caption class="smcs-hidden">{{ caption }}</caption>
    <thead>
      <tr>
        <th v-for="(column, i) in columns" :key="i" scope="col" :class="{ 'smcs-num': column.numeric }">
          <bdi>{{ column.name }}</bdi></th>
      </tr>
    </thead>
    <tbody>
      <tr v-for="(row, i) in rows" :key="i" :data-testid="marker">
        <component v-for="(cell, j) in row" :key="j" :is="j ? 'td' : 'th'" :scope="j ? null : 'row'" dir="auto"
          :class="{ 'smcs-num': columns[j].numeric }"
          :style="columns[j].numeric ? null : 'overflow-wrap: anywhere; min-width: 9rem; max-width: 36rem'">
          <span v-if="cell.icon" :class="'smcs-chip smcs-chip-' + cell.tone" style="white-space: nowrap">
            <q-icon :name="cell.icon" aria-hidden="true" />{{ cell.text }}</span>
          <a v-else-if="cell.href" :href="cell.href" class="smcs-link" dir="auto">{{ cell.text }}</a>
          <template v-else>{{ cell.text }}</template>
        </component>
      </tr>
    </tbody>
  </table>
</div>`,
};
