// Ctrl+K from the first moment of a page. Until the button of the palette is there, which answers the key itself, the
// browser would take it for its own search: it is kept, and pressed as soon as the button is drawn.
(() => {
  const BUTTON = ".st-key-palette_open button";
  const PATIENCE = 60000; // milliseconds: a page without a palette forgets the key
  let waits = false;
  const press = () => {
    waits = true;
    const end = () => {
      waits = false;
      observer.disconnect();
      clearTimeout(timer);
    };
    const observer = new MutationObserver(() => {
      const button = document.querySelector(BUTTON);
      if (!button) return;
      end();
      button.click();
    });
    const timer = setTimeout(end, PATIENCE);
    observer.observe(document, { subtree: true, childList: true });
  };
  addEventListener("keydown", (event) => {
    const { ctrlKey, metaKey, altKey, shiftKey, key } = event;
    const isPalette = (ctrlKey || metaKey) && !altKey && !shiftKey && key.toLowerCase() === "k";
    if (!isPalette || document.querySelector(BUTTON)) return;
    event.preventDefault();
    if (!waits) press();
  }, true);
})();
