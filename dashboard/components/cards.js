function percent(share) {
  return `${Math.max(0, Math.min(1, share)) * 100}%`;
}

function picture({ src, alt }) {
  const frame = element("span", src ? "picture" : "picture missing");
  const image = document.createElement("img");
  image.loading = "lazy";
  image.decoding = "async";
  image.draggable = false;
  image.alt = alt;
  frame.title = alt;
  image.onerror = () => frame.classList.add("missing");
  if (src) image.src = src;
  frame.append(image);
  return frame;
}

function bar({ label, share, text, tone, low, high, mark }) {
  const row = element("span", `bar ${tone}`);
  const name = element("span", "name", label);
  name.title = label;
  const track = element("span", "track");
  const fill = element("span", "fill");
  fill.style.width = percent(share);
  if (share > 0) track.append(fill);
  if (low !== null && high !== null) {
    const range = element("span", "range");
    range.style.left = percent(low);
    range.style.width = percent(high - low);
    track.append(range);
  }
  if (mark !== null) {
    const tick = element("span", "mark");
    tick.style.left = percent(mark);
    track.append(tick);
  }
  row.append(name, element("span", "value", text), track);
  return row;
}

function fill(link, card) {
  link.dataset.id = card.id;
  if (card.href) link.setAttribute("href", card.href);
  const words = element("span", "words");
  const head = element("span", "head");
  const title = element("span", "title", card.title);
  if (card.note) { // may wrap, as a whole
    const note = element("span", "note", card.note);
    if (card.note_help) note.title = card.note_help;
    title.append(" ", note);
  }
  head.append(title);
  if (card.tag) {
    const tag = element("span", `tag ${card.tone}`, card.tag);
    if (card.tag_help) tag.title = card.tag_help;
    head.append(tag);
  }
  const pictures = element("span", "pictures");
  pictures.append(...card.pictures.map(picture));
  const rest = [...card.bars.map(bar), ...card.lines.map((text) => element("span", "line", text))];
  const subtitle = element("span", "subtitle", card.subtitle);
  const action = element("span", "action", card.action);
  if (link.closest(".wide")) {
    words.append(head, subtitle, ...rest, action);
    link.replaceChildren(words, pictures);
  } else {
    const below = element("span", "below");
    below.append(...rest, action);
    words.append(head, subtitle, pictures, below);
    link.replaceChildren(words);
  }
}

function button(card, { id, label, help, active, first }) {
  const made = element("button", first ? "button first" : "button", label);
  made.dataset.button = id;
  made.disabled = !active;
  made.setAttribute("aria-label", `${label}: ${card.title}`);
  if (help) made.title = help;
  return made;
}

// Buttons that stay keep their focus: only what changed is replaced.
function fillButtons(item, card) {
  item.classList.toggle("acting", card.buttons.length > 0);
  let holder = item.querySelector(".buttons");
  if (!card.buttons.length) return holder?.remove();
  if (!holder) {
    holder = element("span", "buttons");
    item.append(holder);
  }
  card.buttons.forEach((one, at) => {
    const made = button(card, one);
    const there = holder.children[at];
    if (!there) holder.append(made);
    else if (!there.isEqualNode(made)) {
      const focused = there.getRootNode().activeElement === there;
      there.replaceWith(made);
      if (focused) made.focus();
    }
  });
  while (holder.children.length > card.buttons.length) holder.lastChild.remove();
}

function draw(self, { cards, inARow }) {
  // One size for the pictures of all cards, however many each has.
  self.root.style.setProperty("--pictures", inARow || Math.max(4, ...cards.map((card) => card.pictures.length)));
  const items = new Map([...self.root.children].map((item) => [item.dataset.id, item]));
  cards.forEach((card, at) => {
    let item = items.get(card.id);
    items.delete(card.id);
    if (!item) {
      item = element("li");
      item.dataset.id = card.id;
      item.append(element("a", "card"));
    }
    if (self.root.children[at] !== item) self.root.insertBefore(item, self.root.children[at] ?? null);
    const content = JSON.stringify(card);
    if (item.dataset.shown !== content) { // an unchanged card keeps its pictures and its focus
      item.dataset.shown = content;
      fill(item.firstChild, card);
      fillButtons(item, card);
    }
  });
  for (const item of items.values()) item.remove();
}

function onClick(self, event) {
  const pressed = event.target.closest(".button");
  if (pressed) return self.emit("pressed", [pressed.closest("li").dataset.id, pressed.dataset.button]);
  const link = event.target.closest(".card");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return; // the browser's new tab
  event.preventDefault();
  self.emit("opened", link.dataset.id);
}

export default function (component) {
  const { data, parentElement, setTriggerValue } = component;
  const self = mounted(parentElement);
  self.root = parentElement.querySelector(".cards");
  self.emit = setTriggerValue;
  self.root.setAttribute("aria-label", data.label);
  self.root.classList.toggle("wide", data.wide);
  self.root.classList.toggle("spread", data.spread);
  self.root.classList.toggle("pictures-first", data.picturesFirst);
  self.root.style.setProperty("--card", `${data.width}px`);
  self.root.onclick = (event) => onClick(self, event);
  draw(self, data);
  return () => instances.delete(parentElement);
}
