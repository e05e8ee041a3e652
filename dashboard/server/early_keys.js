// Ctrl+K from the first moment of a page, and what is typed until the field of the palette takes letters itself.
//
// Until the button of the palette is there, which answers the key itself, the browser would take it for its own search:
// it is kept, and pressed as soon as the button is drawn. The dialog comes with the run that the button asks for, and a
// slow page takes its time: letters typed meanwhile are written into the field when it comes. They are so once more
// where a later run draws another field, until the reader has chosen.
(() => {
  const BUTTON = ".st-key-palette_open button";
  const FIELD = "[role=dialog] .st-key-palette_choice input";
  const PATIENCE = 60000; // milliseconds: a page without a palette forgets the keys
  const ENDS = ["Enter", "Escape", "Tab"]; // keys that choose, give up, or leave the field
  let [pressed, typed] = [false, null]; // whether the button is still to be pressed; the text, null while none is kept
  let [field, takes, timer] = [null, false, 0]; // the field that is there, and whether it has the text and takes letters

  const end = () => {
    [pressed, typed, field, takes] = [false, null, null, false];
    observer.disconnect();
    clearTimeout(timer);
  };
  const write = () => {
    if (typed === null || !field?.isConnected) return;
    takes = true;
    field.focus();
    if (field.value === typed) return;
    Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value").set.call(field, typed);
    field.dispatchEvent(new InputEvent("input", { bubbles: true, data: typed, inputType: "insertText" }));
  };
  const observer = new MutationObserver(() => {
    const [button, drawn] = [document.querySelector(BUTTON), document.querySelector(FIELD)];
    if (pressed && button) {
      pressed = false;
      button.click();
    }
    if (drawn === field) return;
    [field, takes] = [drawn, false];
    if (field) setTimeout(write); // after the frame in which the field begins to listen
  });
  const begin = () => {
    end();
    typed = "";
    observer.observe(document, { subtree: true, childList: true });
    timer = setTimeout(end, PATIENCE);
  };
  const isText = (target) => target.matches?.("input, textarea, [contenteditable=true]");
  // Whether a key belongs to the text that is kept. Where no palette is, fields have their keys.
  const keep = ({ ctrlKey, metaKey, altKey, key, target }) => {
    if (ENDS.includes(key) && (field || key === "Escape")) end();
    if (typed === null || takes || ctrlKey || metaKey || altKey) return false;
    if (!document.querySelector(BUTTON) && isText(target)) return false;
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
  addEventListener("input", ({ target }) => {
    if (takes && target === field) typed = field.value;
  }, true);
  addEventListener("pointerdown", () => typed !== null && end(), true);
})();
