// The server is told keys, not places: a second move may be made before it has answered the first.
// Cards keep their elements by key, so that the focus and a caption that is being typed survive a rerun. An
// order that was changed here is shown at once; the server's answer has the same order.

function button(text, label, act) {
  const node = element("button", "", text);
  node.title = label;
  node.onclick = () => node.getAttribute("aria-disabled") !== "true" && act();
  return node;
}

function cardsOf(self) {
  return [...self.list.children];
}

function send(self) {
  self.emit("changed", { order: cardsOf(self).map((card) => card.dataset.key) });
}

// For a screen reader: the new place of a card that was moved.
function announce(self, card) {
  const all = cardsOf(self);
  self.told.textContent = `${card.name}: ${all.indexOf(card) + 1} of ${all.length}`;
}

// By `step` places; the focus, which a moved element loses, is given back.
function move(self, card, step) {
  const all = cardsOf(self);
  const to = all.indexOf(card) + step;
  if (to < 0 || to >= all.length) return;
  const focused = self.list.getRootNode().activeElement;
  if (step < 0) all[to].before(card);
  else all[to].after(card);
  focused?.focus({ preventScroll: true });
  card.scrollIntoView({ block: "nearest" });
  lettered(self);
  announce(self, card);
  send(self);
}

// Letters follow the order at once.
function lettered(self) {
  cardsOf(self).forEach((card, at, all) => {
    card.querySelector(".title").textContent = `${self.letters[at] ?? ""} ${card.name}`.trim();
    const [up, down] = card.querySelectorAll(".buttons button");
    up.setAttribute("aria-disabled", String(at === 0));
    down.setAttribute("aria-disabled", String(at === all.length - 1));
  });
}

// The others step aside for the card: an element that is itself moved would lose the finger that holds it.
function drag(self, card, event) {
  if (event.button) return;
  event.preventDefault();
  const grip = event.currentTarget;
  const order = () => cardsOf(self).map((one) => one.dataset.key).join();
  const before = order();
  const centre = (one) => one.getBoundingClientRect().top + one.offsetHeight / 2;
  grip.setPointerCapture(event.pointerId);
  card.classList.add("dragged");
  grip.onpointermove = ({ clientY }) => {
    for (let one = card.nextElementSibling; one && clientY > centre(one); one = card.nextElementSibling) card.before(one);
    for (let one = card.previousElementSibling; one && clientY < centre(one); one = card.previousElementSibling) card.after(one);
    lettered(self);
  };
  grip.onpointerup = grip.onpointercancel = () => {
    grip.onpointermove = grip.onpointerup = grip.onpointercancel = null;
    card.classList.remove("dragged");
    if (order() === before) return;
    announce(self, card);
    send(self);
  };
}

function build(self, key) {
  const card = element("li", "card");
  card.dataset.key = key;
  const grip = element("span", "grip", "⠿");
  grip.setAttribute("aria-hidden", "true");
  grip.title = "Drag to another place";
  grip.onpointerdown = (event) => drag(self, card, event);
  const buttons = element("span", "buttons");
  buttons.append(
    button("↑", "Move up", () => move(self, card, -1)),
    button("↓", "Move down", () => move(self, card, 1)),
    button("↔", "Columns that it takes", () => self.emit("changed", { at: key, span: (card.span % self.columns) + 1 })),
    button("×", "Remove from the sheet", () => self.emit("changed", { at: key, remove: true })),
  );
  const caption = element("input", "caption");
  caption.placeholder = "No caption";
  caption.onchange = () => self.emit("changed", { at: key, caption: caption.value });
  card.append(grip, element("span", "title"), buttons, element("span", "about"), element("span", "problem"), caption);
  card.onkeydown = (event) => {
    const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (!step || isShortcut(event) || event.target === caption) return;
    event.preventDefault();
    move(self, card, step);
  };
  return card;
}

function fill(self, card, one) {
  card.name = one.title;
  card.span = one.span;
  card.querySelector(".buttons button:nth-child(3)").hidden = self.columns < 2;
  card.querySelector(".about").textContent = one.about;
  card.querySelector(".problem").textContent = one.problem;
  const caption = card.querySelector(".caption");
  caption.maxLength = self.longest;
  caption.setAttribute("aria-label", `Caption of ${one.title}`);
  // Only a new caption of the server's is taken over: the field may hold what is being typed.
  if (card.served !== one.caption) caption.value = card.served = one.caption;
  for (const each of card.querySelectorAll("button")) each.setAttribute("aria-label", `${each.title}: ${one.title}`);
}

export default function ({ data, parentElement, setTriggerValue }) {
  const find = (name) => parentElement.querySelector(name);
  const self = mounted(parentElement, () => ({ list: find(".cards"), told: find(".told") }));
  self.emit = setTriggerValue;
  self.longest = data.longest;
  self.columns = data.columns;
  self.letters = data.cards.map((one) => one.letter);
  const cards = new Map(cardsOf(self).map((card) => [card.dataset.key, card]));
  const ordered = data.cards.map((one) => {
    const card = cards.get(one.key) ?? build(self, one.key);
    fill(self, card, one);
    return card;
  });
  const same = ordered.length === self.list.children.length
    && ordered.every((card, at) => card === self.list.children[at]);
  if (!same) {
    const focused = self.list.getRootNode().activeElement; // which an element that is moved loses
    self.list.replaceChildren(...ordered);
    focused?.focus({ preventScroll: true });
  }
  lettered(self);
  return () => instances.delete(parentElement);
}
