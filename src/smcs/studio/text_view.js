import DOMPurify from "dompurify";

export default {
  template: "<div></div>",
  props: { html: String, tags: Array, attributes: Array },
  mounted() {
    this.show();
  },
  watch: {
    html() {
      this.show();
    },
  },
  methods: {
    show() {
      const clean = DOMPurify.sanitize(this.html, {
        ALLOWED_TAGS: this.tags,
        ALLOWED_ATTR: this.attributes,
        ALLOWED_URI_REGEXP: /^(?:(?:https?|mailto):|[^:]*$)/i,
        ALLOW_ARIA_ATTR: false,
        ALLOW_DATA_ATTR: false,
        RETURN_DOM_FRAGMENT: true,
      });
      this.$el.replaceChildren(clean);
    },
    async copy(text) {
      if (navigator.clipboard) {
        try {
          await navigator.clipboard.writeText(text);
          return true;
        } catch {
          return false;
        }
      }
      // Pages that are not on localhost or HTTPS have no clipboard, but may copy what is selected.
      const area = document.createElement("textarea");
      area.value = text;
      document.body.append(area);
      area.select();
      const copied = document.execCommand("copy");
      area.remove();
      return copied;
    },
  },
};
