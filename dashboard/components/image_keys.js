// Which kind of input was used last, so that keys go on belonging to a choice that was reached by keys.
const CHOICES = "[data-testid=stButtonGroup]";

function listen() {
  const self = {};
  let clicked = null;
  const onPointer = (event) => {
    clicked = event.target instanceof Element ? event.target.closest(CHOICES) : null;
  };
  const onKey = (event) => {
    if (event.key === "Tab") clicked = null;
    const key = event.key.startsWith("Arrow") && self.data[event.key];
    if (!key || isShortcut(event) || event.shiftKey) return;
    if (!clicked || event.target.closest?.(CHOICES) !== clicked) return; // else the buttons hear it themselves
    const button = document.querySelector(`.st-key-${key} button`);
    event.preventDefault();
    event.stopImmediatePropagation();
    if (button && !button.disabled) button.click();
  };
  document.addEventListener("pointerdown", onPointer, true);
  document.addEventListener("keydown", onKey, true);
  self.stop = () => {
    document.removeEventListener("pointerdown", onPointer, true);
    document.removeEventListener("keydown", onKey, true);
  };
  return self;
}

export default function ({ data, parentElement }) {
  const self = mounted(parentElement, listen); // every image draws this again
  self.data = data;
  document.body.dataset.seenImage = data.row; // gallery.js reads it
  return () => {
    self.stop();
    instances.delete(parentElement);
  };
}
