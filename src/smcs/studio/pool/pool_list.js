// The LLMs of a pool: a table where there is room, cards where there is not. Every value is shown as text.
export default {
  props: {
    rows: { type: Array, required: true },
    admin: { type: Boolean, default: false },
  },
  template: `
<div>
  <div class="smcs-scroll gt-sm" role="region" aria-label="LLMs" tabindex="0">
    <table class="smcs-table" data-testid="pool-table">
      <caption class="smcs-hidden">The LLMs of the pool</caption>
      <thead>
        <tr>
          <th scope="col">LLM</th>
          <th scope="col">Status</th>
          <th scope="col" class="smcs-num" title="Half of the calls that ended well took no longer; 95% took no longer than the second figure.">Seconds, median<br>95% within</th>
          <th scope="col" class="smcs-num" title="Calls without an answer, of those that were not given up.">Errors<br>calls</th>
          <th scope="col" class="smcs-num" title="US dollars per million tokens read and written.">Price per million<br>read / written</th>
          <th scope="col" class="smcs-num" title="Tokens of question and answer together.">Context<br>tokens</th>
          <th scope="col" class="smcs-num" title="Share of the newest answers whose text this LLM wrote.">Wrote</th>
          <th scope="col"><span class="smcs-hidden">Actions</span></th>
        </tr>
      </thead>
      <tbody>
        <tr v-for="row in rows" :key="row.name" data-testid="pool-row">
          <th scope="row" style="color: inherit; overflow-wrap: anywhere; min-width: 10rem; max-width: 20rem">
            <bdi>{{ row.name }}</bdi>
            <div class="smcs-muted smcs-small" style="font-weight: 400">{{ row.role }}</div>
            <details class="smcs-muted smcs-small" style="font-weight: 400">
              <summary style="cursor: pointer; display: list-item">What it can do</summary>
              <div v-for="(line, i) in row.can" :key="i">{{ line }}</div>
            </details>
          </th>
          <td style="max-width: 18rem; overflow-wrap: anywhere">
            <span :class="'smcs-chip smcs-chip-' + row.tone" style="overflow-wrap: normal"><q-icon :name="row.icon" aria-hidden="true" />{{ row.status }}</span>
            <div v-if="row.why" class="smcs-muted smcs-small" dir="auto">{{ row.why }}</div>
          </td>
          <td class="smcs-num">{{ row.speed }}<div class="smcs-muted smcs-small">{{ row.slow }}</div></td>
          <td class="smcs-num">{{ row.errors }}<div class="smcs-muted smcs-small">{{ row.calls }}</div></td>
          <td class="smcs-num">{{ row.price }}</td>
          <td class="smcs-num">{{ row.context }}</td>
          <td class="smcs-num">{{ row.wrote }}</td>
          <td>
            <div style="display: flex; gap: 0.4rem; justify-content: flex-end">
              <button type="button" class="smcs-link-button" data-testid="pool-test" :aria-label="'Test ' + row.name"
                @click="$emit('test', row.name)">Test</button>
              <button v-if="admin" type="button" class="smcs-link-button" data-testid="pool-switch"
                :aria-label="(row.is_off ? 'Switch on ' : 'Switch off ') + row.name"
                @click="$emit('switch', row.name)">{{ row.is_off ? 'Switch on' : 'Switch off' }}</button>
            </div>
          </td>
        </tr>
      </tbody>
    </table>
  </div>
  <ul class="lt-md" style="list-style: none; margin: 0; padding: 0; display: grid; gap: 0.6rem" data-testid="pool-cards">
    <li v-for="row in rows" :key="row.name" class="smcs-card" data-testid="pool-card">
      <div style="display: flex; flex-wrap: wrap; gap: 0.3rem 0.6rem; align-items: center; overflow-wrap: anywhere">
        <strong><bdi>{{ row.name }}</bdi></strong>
        <span :class="'smcs-chip smcs-chip-' + row.tone"><q-icon :name="row.icon" aria-hidden="true" />{{ row.status }}</span>
      </div>
      <div class="smcs-muted smcs-small">{{ row.role }}</div>
      <div v-if="row.why" class="smcs-muted smcs-small" dir="auto" style="overflow-wrap: anywhere">{{ row.why }}</div>
      <dl class="smcs-small" style="display: grid; grid-template-columns: auto 1fr; gap: 0.1rem 0.8rem; margin: 0.4rem 0">
        <dt class="smcs-muted">Seconds, median</dt><dd style="margin: 0">{{ row.speed }}, 95% within {{ row.slow }}</dd>
        <dt class="smcs-muted">Calls</dt><dd style="margin: 0">{{ row.calls }}, errors {{ row.errors }}</dd>
        <dt class="smcs-muted">Price per million</dt><dd style="margin: 0">{{ row.price }} (read / written)</dd>
        <dt class="smcs-muted">Context</dt><dd style="margin: 0">{{ row.context }}{{ row.context === 'unknown' ? '' : ' tokens' }}</dd>
        <dt class="smcs-muted">Answers written</dt><dd style="margin: 0">{{ row.wrote }}</dd>
      </dl>
      <details class="smcs-muted smcs-small">
        <summary style="cursor: pointer; display: list-item">What it can do</summary>
        <div v-for="(line, i) in row.can" :key="i">{{ line }}</div>
      </details>
      <div style="display: flex; gap: 0.5rem; margin-top: 0.5rem">
        <button type="button" class="smcs-link-button" style="min-height: 2.4rem" :aria-label="'Test ' + row.name"
          @click="$emit('test', row.name)">Test</button>
        <button v-if="admin" type="button" class="smcs-link-button" style="min-height: 2.4rem"
          :aria-label="(row.is_off ? 'Switch on ' : 'Switch off ') + row.name"
          @click="$emit('switch', row.name)">{{ row.is_off ? 'Switch on' : 'Switch off' }}</button>
      </div>
    </li>
  </ul>
</div>`,
};
