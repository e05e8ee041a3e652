// Ctrl+K from the first moment of a page, and what is typed until the field of the palette is there.
//
// Until the button of the palette is there, which answers the key itself, the browser would take it for its own search:
// it is kept, and pressed as soon as the button is drawn. The dialog comes with the run that the button asks for, and a
// slow page takes its time: letters typed meanwhile are written into the field when it comes.
(() => {
  const BUTTON = ".st-key-palette_open button";
  const FIELD = "[role=dialog] .st-key-palette_choice input";
  const PATIENCE = 60000; // milliseconds: a page without a palette forgets the keys
  let [pressed, typed] = [false, null]; // whether the button is still to be pressed; the text, null while none is kept
  let timer = 0;

  const end = () => {
    [pressed, typed] = [false, null];
    observer.disconnect();
    clearTimeout(timer);
  };
  const write = (field, text) => {
    field.focus();
    if (!text) return;
    Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value").set.call(field, text);
    field.dispatchEvent(new InputEvent("input", { bubbles: true, data: text, inputType: "insertText" }));
  };
  const observer = new MutationObserver(() => {
    const [button, field] = [document.querySelector(BUTTON), document.querySelector(FIELD)];
    if (pressed && button) {
      pressed = false;
      button.click();
    }
    if (!field) return;
    const text = typed;
    end();
    setTimeout(() => write(field, text)); // after the frame in which the field begins to listen
  });
  const begin = () => {
    end();
    typed = "";
    observer.observe(document, { subtree: true, childList: true });
    timer = setTimeout(end, PATIENCE);
  };
  // Whether a key belongs to the text that is kept; Escape gives it up. Where no palette is, fields have their keys.
  const keep = ({ ctrlKey, metaKey, altKey, key, target }) => {
    if (key === "Escape") end();
    if (typed === null || ctrlKey || metaKey || altKey) return false;
    if (!document.querySelector(BUTTON) && target.matches?.("input, textarea, [contenteditable=true]")) return false;
    if (key === "Backspace") typed = typed.slice(0, -1);
    else if (key.length === 1) typed += key;
    else return false;
    return true;
  };

  addEventListener("keydown", (event) => {
    const { ctrlKey, metaKey, altKey, shiftKey, key } = event;
    const isPalette = (ctrlKey || metaKey) && !altKey && !shiftKey && key.toLowerCase() === "k";
    if (isPalette && !document.querySelector(FIELD)) {
      if (typed === null) begin();
      if (document.querySelector(BUTTON)) return;
      pressed = true;
      event.preventDefault();
    } else if (typed !== null && keep(event)) {
      event.preventDefault();
      event.stopImmediatePropagation();
    }
  }, true);
  addEventListener("pointerdown", () => typed !== null && end(), true);
})();
