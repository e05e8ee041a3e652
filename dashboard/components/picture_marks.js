const LEAST = 0.03; // side of a box, as a share of the picture's
const STEP = 0.02; // of an arrow key
const HINTS = {
  crop: "Draw a box on the picture: the encoder is given only this part.",
  cover: "Draw boxes on the picture: what they cover, the encoder does not see. Drag one to move it.",
};
const SEEN = " Inside the dashed line is what it sees.";
const KEYS = "Arrow keys move it, Shift with arrow keys changes its size, Delete removes it.";

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
const percent = (value) => `${(100 * value).toFixed(2)}%`;

function place(node, [left, top, right, bottom]) {
  Object.assign(node.style, { left: percent(left), top: percent(top), width: percent(right - left), height: percent(bottom - top) });
}

function leavesOut(part, whole) {
  return part.some((side, at) => Math.abs(side - whole[at]) > 0.02);
}

function button(text, onclick, pressed) {
  const node = element("button", "", text);
  node.onclick = onclick;
  if (pressed !== undefined) node.setAttribute("aria-pressed", String(pressed));
  return node;
}

// While an answer is awaited, only the last change is kept: a box that is dragged does not pile up requests.
function send(self) {
  if (self.waiting) {
    self.pending = true;
    return;
  }
  self.pending = false;
  self.waiting = setTimeout(() => settle(self), 3000); // an answer that changes nothing is not heard of
  self.turn += 1;
  self.emit("changed", { crop: self.crop, covered: self.covered, turn: self.turn });
}

function settle(self) {
  clearTimeout(self.waiting);
  self.waiting = 0;
  if (self.pending) setTimeout(() => send(self)); // after Streamlit has put the answer on the page
}

function boxesOf(self) {
  const covered = self.covered.map((box, at) => ({ kind: "cover", at, box }));
  return self.crop ? [{ kind: "crop", at: 0, box: self.crop }, ...covered] : covered;
}

function put(self, kind, at, box) {
  self.seen = null; // until the encoder has looked again
  if (kind === "crop") self.crop = box;
  else if (box) self.covered = self.covered.map((one, place) => (place === at ? box : one));
  else self.covered = self.covered.filter((_, place) => place !== at);
}

function add(self, box) {
  self.seen = null;
  if (self.mode === "crop") self.crop = box;
  else self.covered = [...self.covered, box].slice(-20);
}

function moved([left, top, right, bottom], x, y) {
  const dx = clamp(x, -left, 1 - right), dy = clamp(y, -top, 1 - bottom);
  return [left + dx, top + dy, right + dx, bottom + dy];
}

function onKey(self, event, { kind, at, box }) {
  const [x, y] = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] }[event.key] ?? [0, 0];
  const removes = event.key === "Delete" || event.key === "Backspace";
  if (isShortcut(event) || (!removes && !x && !y)) return;
  event.preventDefault();
  event.stopPropagation();
  const [left, top, right, bottom] = box;
  const grown = [left, top, clamp(right + x, left + LEAST, 1), clamp(bottom + y, top + LEAST, 1)];
  put(self, kind, at, removes ? null : event.shiftKey ? grown : moved(box, x, y));
  draw(self);
  send(self);
}

function makeBox(self, one) {
  const node = element("button", `box ${one.kind}`);
  const [left, top, right, bottom] = one.box;
  node.dataset.box = `${one.kind} ${one.at}`;
  const words = `${Math.round(100 * left)} to ${Math.round(100 * right)} % from the left, ${Math.round(100 * top)} to ${Math.round(100 * bottom)} % from the top`;
  node.setAttribute("aria-label", `${one.kind === "crop" ? "Cropped to" : "Covered"}: ${words}. ${KEYS}`);
  place(node, one.box);
  node.onkeydown = (event) => onKey(self, event, one);
  return node;
}

function draw(self) {
  const focused = self.stage.getRootNode().activeElement?.dataset?.box;
  self.stage.querySelectorAll(".box").forEach((node) => node.remove());
  self.stage.append(...boxesOf(self).map((one) => makeBox(self, one)));
  if (focused) self.stage.querySelector(`[data-box="${focused}"]`)?.focus();
  place(self.shade, self.crop ?? [0, 0, 1, 1]);
  self.shade.hidden = !self.crop;
  const choose = (mode) => () => { self.mode = mode; draw(self); };
  const clear = button("Clear", () => { self.crop = self.seen = null; self.covered = []; draw(self); send(self); });
  clear.disabled = !self.crop && !self.covered.length;
  const middle = button("Add a box", () => {
    add(self, [0.35, 0.35, 0.65, 0.65]);
    draw(self);
    self.stage.querySelector(".box:last-of-type")?.focus();
    send(self);
  });
  const held = self.tools.getRootNode().activeElement;
  const at = held?.parentElement === self.tools ? [...self.tools.children].indexOf(held) : -1;
  self.tools.replaceChildren(
    button("Cover", choose("cover"), self.mode === "cover"), button("Crop", choose("crop"), self.mode === "crop"), middle, clear,
  );
  if (at >= 0) self.tools.children[at]?.focus();
  self.sight.hidden = !self.seen || !leavesOut(self.seen, self.crop ?? [0, 0, 1, 1]);
  if (self.seen) place(self.sight, self.seen);
  self.hint.textContent = HINTS[self.mode] + (self.sight.hidden ? "" : SEEN);
}

function shareOf(self, event) {
  const frame = self.stage.getBoundingClientRect();
  return [clamp((event.clientX - frame.left) / frame.width, 0, 1), clamp((event.clientY - frame.top) / frame.height, 0, 1)];
}

function onDown(self, event) {
  if (event.button) return;
  const [x, y] = shareOf(self, event);
  const name = event.target.closest(".box.cover")?.dataset.box;
  self.drag = { x, y, at: name ? Number(name.split(" ")[1]) : null, box: name ? self.covered[Number(name.split(" ")[1])] : null };
  self.stage.setPointerCapture(event.pointerId);
  if (!name) event.preventDefault();
}

function drawn({ x, y }, [toX, toY]) {
  return [Math.min(x, toX), Math.min(y, toY), Math.max(x, toX), Math.max(y, toY)];
}

function onMove(self, event) {
  if (!self.drag) return;
  const to = shareOf(self, event);
  if (self.drag.box) {
    put(self, "cover", self.drag.at, moved(self.drag.box, to[0] - self.drag.x, to[1] - self.drag.y));
    draw(self);
    send(self);
    return;
  }
  if (!self.ghost) self.stage.append(self.ghost = Object.assign(document.createElement("div"), { className: "ghost" }));
  place(self.ghost, drawn(self.drag, to));
}

function onUp(self, event) {
  const { drag } = self;
  self.drag = null;
  self.ghost?.remove();
  self.ghost = null;
  if (drag?.box) self.stage.querySelector(`[data-box="cover ${drag.at}"]`)?.focus(); // for the keys
  if (!drag || drag.box) return;
  const box = drawn(drag, shareOf(self, event));
  if (box[2] - box[0] < LEAST || box[3] - box[1] < LEAST) return;
  add(self, box);
  draw(self);
  send(self);
}

function start(parentElement) {
  const [stage, tools, shade, hint, sight] = ["stage", "tools", "shade", "hint", "seen"].map((name) => parentElement.querySelector(`.${name}`));
  const self = { mode: "cover", turn: 0, seen: null, stage, tools, shade, hint, sight };
  stage.onpointerdown = (event) => onDown(self, event);
  stage.onpointermove = (event) => onMove(self, event);
  stage.onpointerup = (event) => onUp(self, event);
  stage.onpointercancel = () => { self.drag = null; self.ghost?.remove(); self.ghost = null; };
  return self;
}

export default function (component) {
  const { data, parentElement, setTriggerValue } = component;
  const self = mounted(parentElement, start);
  self.emit = setTriggerValue;
  const image = self.stage.querySelector("img");
  if (image.getAttribute("src") !== data.picture) {
    image.src = data.picture;
    self.pending = false;
  }
  image.alt = data.name;
  if (!self.pending && !self.drag && data.turn >= self.turn) { // else it is of before the last change
    self.turn = data.turn;
    self.crop = data.crop ?? null;
    self.covered = data.covered ?? [];
    self.seen = data.seen;
    draw(self);
  }
  if (data.turn >= self.turn) settle(self);
  return () => instances.delete(parentElement);
}
