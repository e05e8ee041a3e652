// A link to a page is followed with the first click, also while a popover is open: Streamlit answers the click with the
// page, and then with the run that the closing popover asks for, which shows the page before once more.
//
// A popover that keys opened takes the focus, keeps Tab inside while it is open, and gives the focus back to its
// button when it closes: by Escape, or because what was saved in it is done. Streamlit leaves the focus on the button,
// and its content at the end of the page, behind everything that stands between.
// One that Go to opens is opened by keys, too.
//
// A figure that keys move earlier or later keeps the focus, at an end on its other button.
const BODY = "[data-testid=stPopoverBody]";
const BUTTON = "[data-testid=stPopoverButton]";
const MOVES = ["earlier", "later"].map((way) => `[class*="st-key-figure_${way}_"] button`).join(",");
const TAKES_FOCUS = ["a[href]", "button:not([disabled])", "input:not([disabled])", "textarea:not([disabled])",
  "select:not([disabled])", "[tabindex]"].join(",");

// Rerunning may draw a button anew: it is known by the key of its element.
function keyOf(button) {
  const names = [...(button.closest("[class*='st-key-']")?.classList ?? [])];
  return names.find((name) => name.startsWith("st-key-"));
}

function stops(body) {
  const all = [...body.querySelectorAll(TAKES_FOCUS)];
  return all.filter((one) => one.tabIndex >= 0 && one.getClientRects().length > 0);
}

// Closes the popover first, and follows the link when the run of that was asked for.
function followLinksFromPopovers() {
  window.addEventListener("click", (event) => {
    const link = event.target.closest?.("[data-testid=stPageLink] a");
    const body = document.querySelector(BODY);
    if (!link || !body || body.contains(link) || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    for (const type of ["keydown", "keyup"])
      body.dispatchEvent(new KeyboardEvent(type, { key: "Escape", bubbles: true, cancelable: true }));
    const started = performance.now();
    const follow = () => {
      const isOpen = document.querySelector(BODY) && performance.now() - started < 1000;
      setTimeout(isOpen ? follow : () => link.click(), 20);
    };
    follow();
  }, true);
}

function focusPopovers() {
  let opened = null; // {key, button, body, focused, acted}: the popover that keys opened
  let goes = false; // whether the last key went to something by its name
  const isLost = () => !document.activeElement || document.activeElement === document.body;

  // Its content comes in parts, with the next run and as scripts load: the first field has the focus until the
  // reader goes on, by a key or otherwise. One without any field has it itself.
  const enter = () => {
    const body = document.querySelector(BODY);
    if (!body) return;
    const { activeElement } = document;
    if (body.contains(activeElement) && activeElement !== opened.focused) opened.acted = true;
    if (opened.acted && !isLost()) return;
    const first = stops(body)[0] ?? body;
    if (first === body) body.tabIndex = -1;
    opened.body = body;
    opened.focused = first;
    if (first !== activeElement) first.focus({ preventScroll: true });
  };

  const leave = () => {
    const { button, key } = opened;
    opened = null;
    const now = button.isConnected ? button : document.querySelector(`.${CSS.escape(key ?? "none")} ${BUTTON}`);
    if (isLost()) now?.focus({ preventScroll: true });
  };

  document.addEventListener("click", (event) => {
    const button = event.target.closest?.(BUTTON);
    if (!button) return;
    const byKeys = event.detail === 0; // a click of the mouse counts
    opened = byKeys ? { button, key: keyOf(button), body: null, focused: null, acted: false } : null;
  }, true);

  document.addEventListener("pointerdown", () => ((opened = null), (goes = false)), true);

  const opensByName = () => {
    const button = document.querySelector(`${BUTTON}[aria-expanded=true]`);
    if (!button || document.querySelector("[role=dialog] .st-key-palette_choice")) return;
    goes = false;
    opened = { button, key: keyOf(button), body: null, focused: null, acted: false };
  };

  window.addEventListener("keydown", (event) => {
    goes = event.key === "Enter" && Boolean(event.target.closest?.(".st-key-palette_choice"));
  }, true);

  document.addEventListener("keydown", (event) => {
    if (opened?.body) opened.acted = true;
    const body = event.target.closest?.(BODY);
    if (!body || event.key !== "Tab" || event.ctrlKey || event.altKey || event.metaKey) return;
    const all = stops(body);
    const [last, next] = event.shiftKey ? [all[0], all[all.length - 1]] : [all[all.length - 1], all[0]];
    if (event.target !== last) return;
    event.preventDefault();
    next.focus();
  }, true);

  // While the focus goes from one field to the next, nothing has it, and a field that is left may be drawn anew in
  // between: what has the focus is asked afterwards.
  let waits = false;
  const follow = () => {
    waits = false;
    if (goes && document.querySelector(BODY)) opensByName();
    if (!opened) return;
    if (opened.body && !document.querySelector(BODY)) leave();
    else enter();
  };
  new MutationObserver(() => {
    if (!(opened || goes) || waits) return;
    waits = true;
    setTimeout(follow);
  }).observe(document.body, { subtree: true, childList: true });
}

// The run that moves a figure may draw its buttons anew, and disables one of them at an end.
function focusMovedFigures() {
  let moved = null; // {key, other}: of the button that keys pressed, and of the one beside it
  const buttonOf = (key) => document.querySelector(`.${CSS.escape(key)} button`);
  const drop = () => (moved = null);

  document.addEventListener("click", (event) => {
    const button = event.target.closest?.(MOVES);
    if (!button || event.detail !== 0) return;
    const key = keyOf(button);
    const ways = key.includes("_earlier_") ? ["_earlier_", "_later_"] : ["_later_", "_earlier_"];
    moved = { key, other: key.replace(...ways) };
  }, true);
  for (const type of ["keydown", "pointerdown"]) document.addEventListener(type, drop, true);

  const follow = () => {
    if (!moved) return;
    const button = [moved.key, moved.other].map(buttonOf).find((one) => one && !one.disabled);
    if (button && button !== document.activeElement) button.focus();
  };
  new MutationObserver(() => moved && setTimeout(follow))
    .observe(document.body, { subtree: true, childList: true, attributeFilter: ["disabled"] });
}
