// A key acts on the image that is shown, once: until the next one is there, keys do nothing.
const TYPING = "input, textarea, select, [contenteditable=true]";
const ABOVE = "[role=dialog], [role=listbox], [data-baseweb=popover]"; // what lies over the page takes its keys
const PRESSABLE = "button, a, [role=button], summary, [tabindex]";
const PATIENCE = 10000; // milliseconds after which a press that nobody answered is forgotten

function listen() {
  const self = { pressed: null, byTab: false };

  const belongsElsewhere = (event) => {
    const target = event.composedPath()[0];
    if (!(target instanceof Element)) return false;
    if (document.querySelector("[role=dialog]") || target.closest(`${TYPING}, ${ABOVE}`)) return true;
    // What was reached by Tab is pressed by Enter and Space; what was clicked is not pressed again.
    return self.byTab && [" ", "Enter"].includes(event.key) && target.closest(PRESSABLE) !== null;
  };

  const waits = () =>
    self.pressed?.turn === self.data.turn && performance.now() - self.pressed.at < PATIENCE;

  const onKey = (event) => {
    if (event.key === "Tab") self.byTab = true;
    if (event.key === "Escape") leaveField();
    if (isShortcut(event) || event.isComposing || belongsElsewhere(event)) return;
    const isField = event.key === "/";
    const name = self.data.buttons[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!isField && !name) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    if (event.repeat) return;
    if (isField) return document.querySelector(`.st-key-${self.data.field} input`)?.focus();
    const button = document.querySelector(`.st-key-${name} button`);
    if (!button || button.disabled || waits()) return;
    self.pressed = { turn: self.data.turn, at: performance.now() };
    button.click();
  };
  // A button presses itself on keyup of Space, also where its keydown was taken.
  const onKeyUp = (event) => {
    if (event.key === " " && self.data.buttons[" "] && !belongsElsewhere(event)) event.preventDefault();
  };
  const onPointer = () => {
    self.byTab = false;
  };
  const leaveField = () => {
    const field = document.querySelector(`.st-key-${self.data.field}`);
    if (field?.contains(document.activeElement)) document.activeElement.blur();
  };

  document.addEventListener("keydown", onKey, true);
  document.addEventListener("keyup", onKeyUp, true);
  document.addEventListener("pointerdown", onPointer, true);
  self.stop = () => {
    document.removeEventListener("keydown", onKey, true);
    document.removeEventListener("keyup", onKeyUp, true);
    document.removeEventListener("pointerdown", onPointer, true);
  };
  return self;
}

export default function ({ data, parentElement }) {
  const self = mounted(parentElement, listen); // every image draws this again
  self.data = data;
  if (data.ahead) new Image().src = data.ahead;
  return () => {
    self.stop();
    instances.delete(parentElement);
  };
}
