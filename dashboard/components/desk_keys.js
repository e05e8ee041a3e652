// A key acts on the image that is shown, once: until the next one is there, keys do nothing. One that is pressed
// when the next one is seen, and its buttons are still those of the last one, acts as soon as they are its own.
const SWITCH = "input[type=checkbox], input[type=radio]"; // takes no text: a click on it leaves keys to the desk
const TYPING = "input:not([type=checkbox], [type=radio]), textarea, select, [contenteditable=true]";
const ABOVE = "[role=dialog], [role=listbox], [data-baseweb=popover]"; // what lies over the page takes its keys
const PRESSABLE = `button, a, ${SWITCH}, [role=button], summary, [tabindex]`;
const CAPTION = "[data-testid=stCaptionContainer]";
const PATIENCE = 10000; // milliseconds after which a press that nobody answered is forgotten

function listen() {
  const self = { pressed: null, early: null, byTab: false };

  const belongsElsewhere = (event) => {
    const target = event.composedPath()[0];
    if (!(target instanceof Element)) return false;
    if (document.querySelector("[role=dialog]") || target.closest(`${TYPING}, ${ABOVE}`)) return true;
    // What was reached by Tab is pressed by Enter and Space; what was clicked is not pressed again.
    return self.byTab && [" ", "Enter"].includes(event.key) && target.closest(PRESSABLE) !== null;
  };

  const waits = () =>
    self.pressed?.turn === self.data.turn && performance.now() - self.pressed.at < PATIENCE;

  // What is written below the picture: its name and rank, other ones for each image.
  const seen = () => document.querySelector(`.st-key-${self.data.desk} ${CAPTION}`)?.textContent;

  const press = (name) => {
    const button = document.querySelector(`.st-key-${name} button`);
    if (!button || button.disabled) return;
    self.pressed = { turn: self.data.turn, at: performance.now(), seen: seen() };
    button.click();
  };

  self.pressEarly = () => {
    const name = self.early;
    if (!name || waits()) return;
    self.early = null;
    press(name);
  };

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
    if (!waits()) return press(name);
    if (self.pressed.seen !== seen()) self.early = name;
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
  setTimeout(self.pressEarly);
  if (data.ahead) new Image().src = data.ahead;
  return () => {
    self.stop();
    instances.delete(parentElement);
  };
}
