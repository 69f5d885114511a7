// The list of runs: a table where there is room, cards where there is not. Every value is shown as text.
export default {
  props: {
    rows: { type: Array, required: true },
    keys: { type: Boolean, default: false },
  },
  data: () => ({ picked: [] }),
  computed: {
    comparison() {
      const [a, b] = this.rows.map((row) => row.id).filter((id) => this.picked.includes(id)).reverse();
      return b ? `/runs/compare?a=${a}&b=${b}` : null;
    },
  },
  methods: {
    pick(id) {
      const others = this.picked.filter((each) => each !== id);
      this.picked = others.length < this.picked.length ? others : [...others, id].slice(-2);
    },
  },
  template: `
<div class="smcs-stack">
  <div class="smcs-scroll gt-sm" role="region" aria-label="Runs" tabindex="0">
    <table class="smcs-table" data-testid="runs-table">
      <caption class="smcs-hidden">Runs, the newest first. Times are UTC.</caption>
      <thead>
        <tr>
          <th scope="col"><span class="smcs-hidden">Compare</span></th>
          <th scope="col" style="white-space: nowrap">Time (UTC)</th>
          <th scope="col">Question</th>
          <th scope="col">Model</th>
          <th scope="col">Strategy</th>
          <th v-if="keys" scope="col">Key</th>
          <th scope="col">Status</th>
          <th scope="col" class="smcs-num">Calls</th>
          <th scope="col" class="smcs-num">Cost</th>
          <th scope="col" class="smcs-num">Took</th>
        </tr>
      </thead>
      <tbody>
        <tr v-for="row in rows" :key="row.id" data-testid="run-row">
          <td><input type="checkbox" :checked="picked.includes(row.id)" @change="pick(row.id)"
            :aria-label="'Compare the run of ' + row.created" data-testid="run-pick"></td>
          <td style="white-space: nowrap; font-variant-numeric: tabular-nums">{{ row.created }}</td>
          <td style="min-width: 16rem; max-width: 30rem; overflow-wrap: anywhere">
            <a :href="row.href" class="smcs-link" dir="auto" data-testid="run-link"
              style="display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 2; overflow: hidden"
              >{{ row.question }}</a>
            <span v-if="row.error" class="smcs-muted smcs-small" dir="auto"
              style="display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 1; overflow: hidden"
              >{{ row.error }}</span>
          </td>
          <td style="overflow-wrap: anywhere; min-width: 9rem"><span dir="auto" :title="row.model"
            style="display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 2; overflow: hidden">{{ row.model }}</span></td>
          <td style="overflow-wrap: anywhere; min-width: 8.5rem"><span dir="auto" :title="row.strategy"
            style="display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 2; overflow: hidden">{{ row.strategy }}</span></td>
          <td v-if="keys" style="overflow-wrap: anywhere; min-width: 4rem"><span dir="auto" :title="row.key"
            style="display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 2; overflow: hidden">{{ row.key }}</span></td>
          <td><span :class="'smcs-chip smcs-chip-' + row.tone" :title="row.hint" style="white-space: nowrap">
            <q-icon :name="row.icon" aria-hidden="true" />{{ row.status }}</span>
            <span v-if="row.cached" class="smcs-muted smcs-small"> from the cache</span></td>
          <td class="smcs-num">{{ row.calls }}</td>
          <td class="smcs-num" style="white-space: normal; min-width: 5.5rem">{{ row.cost }}</td>
          <td class="smcs-num">{{ row.seconds }}</td>
        </tr>
      </tbody>
    </table>
  </div>
  <ul class="lt-md smcs-stack" style="list-style: none; margin: 0; padding: 0; gap: 0.6rem" data-testid="runs-cards">
    <li v-for="row in rows" :key="row.id" class="smcs-card" data-testid="run-card">
      <a :href="row.href" class="smcs-link" dir="auto"
        style="display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 3; overflow: hidden;
        overflow-wrap: anywhere">{{ row.question }}</a>
      <div class="smcs-row smcs-small" style="margin-top: 0.35rem; gap: 0.2rem 0.6rem">
        <span :class="'smcs-chip smcs-chip-' + row.tone">
          <q-icon :name="row.icon" aria-hidden="true" />{{ row.status }}</span>
        <span v-if="row.cached" class="smcs-muted">from the cache</span>
        <span class="smcs-muted">{{ row.created }} UTC</span>
      </div>
      <div v-if="row.error" class="smcs-muted smcs-small" dir="auto" style="overflow-wrap: anywhere">{{ row.error }}</div>
      <div class="smcs-small" style="margin-top: 0.35rem; overflow-wrap: anywhere">
        <bdi>{{ row.model }}</bdi> · <bdi>{{ row.strategy }}</bdi><template v-if="keys"> · <bdi>{{ row.key }}</bdi></template>
      </div>
      <div class="smcs-row smcs-small smcs-muted" style="gap: 0.2rem 0.9rem">
        <span>calls: {{ row.calls }}</span><span>cost: {{ row.cost }}</span><span>took: {{ row.seconds }}</span>
      </div>
      <label class="smcs-small" style="display: inline-flex; gap: 0.4rem; align-items: center; min-height: 2rem">
        <input type="checkbox" :checked="picked.includes(row.id)" @change="pick(row.id)">Compare</label>
    </li>
  </ul>
  <div class="smcs-row" role="status">
    <a v-if="comparison" :href="comparison" class="smcs-link" data-testid="compare-picked">Compare the two picked runs</a>
    <span v-else class="smcs-muted smcs-small">{{ picked.length ? 'Pick one more run to compare the two.' : 'Pick two runs to compare them.' }}</span>
  </div>
</div>`,
};
