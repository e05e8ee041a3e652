// A percent sign stays on the line of its number, in every text of the page and of the components in it: the space
// before it becomes one that does not break. Fields, code and drawings keep their text as it is.
function keepPercentSigns() {
  const kept = "textarea, code, pre, svg, style, script";
  const mend = (node) => {
    if (node.nodeType === Node.TEXT_NODE) {
      if (node.data.includes(" %") && !node.parentElement?.closest(kept)) {
        node.data = node.data.replaceAll(" %", "\u00a0%");
      }
    } else if (!node.matches?.(kept)) {
      if (node.shadowRoot) watch(node.shadowRoot);
      node.childNodes.forEach(mend);
    }
  };
  const observer = new MutationObserver((changes) => {
    for (const { type, target, addedNodes } of changes) {
      if (type === "characterData") mend(target);
      else addedNodes.forEach(mend);
    }
  });
  const watch = (root) => {
    observer.observe(root, { subtree: true, childList: true, characterData: true });
    root.childNodes.forEach(mend);
  };
  const { attachShadow } = Element.prototype;
  Element.prototype.attachShadow = function (options) { // a component gets its root after it is in the page
    const root = attachShadow.call(this, options);
    watch(root);
    return root;
  };
  watch(document.body);
}
