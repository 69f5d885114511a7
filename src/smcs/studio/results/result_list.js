// The experiments of a folder: a table where there is room, cards where there is not. Every value is shown as text.
export default {
  props: { rows: { type: Array, required: true } },
  template: `
<div>
  <div class="smcs-scroll gt-sm" role="region" aria-label="Experiments" tabindex="0">
    <table class="smcs-table" data-testid="results-table">
      <caption class="smcs-hidden">Experiments, the newest file first. Times are UTC.</caption>
      <thead>
        <tr>
          <th scope="col">Experiment</th>
          <th scope="col">Made (UTC)</th>
          <th scope="col">Commit</th>
          <th scope="col">Tasks</th>
          <th scope="col" class="smcs-num" title="Ways of answering that are compared.">Arms</th>
          <th scope="col" class="smcs-num">Questions</th>
          <th scope="col" class="smcs-num">Answers</th>
        </tr>
      </thead>
      <tbody>
        <tr v-for="row in rows" :key="row.file" data-testid="results-row">
          <th scope="row" style="color: inherit; overflow-wrap: anywhere; min-width: 10rem">
            <a v-if="row.href" :href="row.href" class="smcs-link" dir="auto" data-testid="results-link">{{ row.name }}</a>
            <bdi v-else>{{ row.name }}</bdi>
            <div class="smcs-muted smcs-small" style="font-weight: 400" dir="auto">{{ row.file }}</div>
          </th>
          <td v-if="row.why" colspan="6">
            <span v-if="row.broken" class="smcs-chip smcs-chip-bad"><q-icon name="error_outline" aria-hidden="true" />not shown</span>
            <div class="smcs-muted" dir="auto" style="overflow-wrap: anywhere">{{ row.why }}</div>
          </td>
          <template v-else>
            <td style="white-space: nowrap; font-variant-numeric: tabular-nums">{{ row.made }}</td>
            <td dir="auto" style="white-space: nowrap">{{ row.commit }}</td>
            <td dir="auto" style="overflow-wrap: anywhere; max-width: 18rem">{{ row.tasks }}</td>
            <td class="smcs-num">{{ row.arms }}</td>
            <td class="smcs-num">{{ row.questions }}</td>
            <td class="smcs-num">{{ row.answers }}</td>
          </template>
        </tr>
      </tbody>
    </table>
  </div>
  <ul class="lt-md" style="list-style: none; margin: 0; padding: 0; display: grid; gap: 0.6rem" data-testid="results-cards">
    <li v-for="row in rows" :key="row.file" class="smcs-card" style="overflow-wrap: anywhere">
      <a v-if="row.href" :href="row.href" class="smcs-link" dir="auto">{{ row.name }}</a>
      <strong v-else><bdi>{{ row.name }}</bdi></strong>
      <div class="smcs-muted smcs-small" dir="auto">{{ row.file }}</div>
      <div v-if="row.why" class="smcs-small" dir="auto">{{ row.broken ? 'Not shown: ' : '' }}{{ row.why }}</div>
      <div v-else class="smcs-small">{{ row.made }} UTC · <bdi>{{ row.tasks }}</bdi> · {{ row.arms }} arms ·
        {{ row.questions }} questions · commit <bdi>{{ row.commit }}</bdi></div>
    </li>
  </ul>
</div>`,
};
