const FAR = 8; // pixels that the mouse moves before a click becomes a box
const MARKS = { correct: ["✓", "classified correctly"], wrong: ["✗", "misclassified"] };

function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function makeTile(id, still) {
  const button = element(still ? "div" : "button", still ? "tile still" : "tile");
  if (!still) button.tabIndex = -1;
  button.dataset.id = String(id);
  const frames = element("span", "frames");
  frames.append(element("span", "badge"));
  if (!still) {
    const corner = element("span", "corner"); // Space and ctrl click mark without it
    corner.setAttribute("aria-hidden", "true");
    corner.title = "Mark";
    frames.append(corner);
  }
  button.append(frames, element("span", "lines"));
  return button;
}

function makeFrame() {
  const frame = element("span", "frame");
  const image = document.createElement("img");
  image.loading = "lazy"; // hundreds of tiles lie below the edge of the window
  image.decoding = "async";
  image.draggable = false;
  image.onerror = () => frame.classList.add("missing");
  image.onload = () => frame.classList.remove("missing");
  frame.append(image);
  return frame;
}

function updateFrames(button, tile) {
  const frames = button.querySelector(".frames");
  const badge = frames.querySelector(".badge");
  const sources = [tile.src, ...tile.beside];
  const shown = frames.getElementsByClassName("frame");
  while (shown.length > sources.length) badge.previousSibling.remove();
  sources.forEach((src, at) => {
    if (at === shown.length) frames.insertBefore(makeFrame(), badge);
    const frame = shown[at];
    const image = frame.querySelector("img");
    const name = tile.names[at] ?? "";
    frame.dataset.missing = at ? `no ${name.toLowerCase()}` : "image is missing";
    if (src && image.getAttribute("src") !== src) image.src = src;
    if (!src) image.removeAttribute("src");
    frame.classList.toggle("absent", !src);
    const alt = at ? name : tile.alt;
    if (image.alt !== alt) image.alt = alt;
    if (frame.title !== name) frame.title = name;
  });
}

function fillTraces(frames, traces) {
  const wanted = JSON.stringify(traces);
  if ((frames.dataset.traces ?? "[]") === wanted) return;
  frames.dataset.traces = wanted;
  frames.querySelector(".traces")?.remove();
  if (!traces.length) return;
  const holder = element("span", "traces");
  for (const [short, whole] of traces) {
    const trace = element("span", "trace");
    trace.textContent = short;
    trace.title = whole;
    holder.append(trace);
  }
  frames.append(holder);
}

function fillLines(holder, tile) {
  const wanted = JSON.stringify([tile.lines, tile.verdict]);
  if (holder.dataset.shown === wanted) return;
  holder.dataset.shown = wanted;
  holder.replaceChildren(
    ...tile.lines.map((text, at) => {
      const line = element("span", "line");
      line.title = text;
      if (at === 0 && MARKS[tile.verdict]) {
        const mark = element("span", `verdict ${tile.verdict}`);
        mark.textContent = MARKS[tile.verdict][0];
        line.append(mark);
      }
      // Lines break between words and after the signs in file names; a word that is too long ends in dots.
      for (const part of text.replace(/(?<=\d) (?=%)/, "\u00a0").split(/( +)|(?<=[_-])/).filter(Boolean)) {
        line.append(part.startsWith(" ") ? part : element("span", "word", part));
      }
      return line;
    }),
  );
}

function updateTile(button, tile, { marking, still }, picked) {
  updateFrames(button, tile);
  fillTraces(button.querySelector(".frames"), tile.traces);
  const said = [tile.alt, MARKS[tile.verdict]?.[1], ...tile.traces.map(([, whole]) => whole)];
  if (!still) button.setAttribute("aria-label", said.filter(Boolean).join(", "));
  if (marking) button.setAttribute("aria-pressed", String(picked));
  else button.removeAttribute("aria-pressed");
  setText(button.querySelector(".badge"), tile.badge);
  fillLines(button.querySelector(".lines"), tile);
}

// Tiles keep their elements by id: their pictures are not fetched again, and the focus stays.
function draw(self) {
  const { root, tiles, buttons } = self;
  const shown = new Set(tiles.map((tile) => tile.id));
  for (const [id, button] of buttons) {
    if (!shown.has(id)) {
      button.remove();
      buttons.delete(id);
    }
  }
  tiles.forEach((tile, at) => {
    let button = buttons.get(tile.id);
    if (!button) buttons.set(tile.id, (button = makeTile(tile.id, self.still)));
    updateTile(button, tile, self, self.picked.has(tile.id));
    if (self.zooms) makeZoomable(button.querySelector(".frames"), tile.alt);
    if (root.children[at] !== button) root.insertBefore(button, root.children[at] ?? null);
  });
  if (!buttons.has(self.current)) self.current = tiles[0]?.id;
  // Tab reaches one tile, arrow keys the others: nobody tabs through hundreds to leave the gallery.
  for (const [id, button] of buttons) if (!self.still) button.tabIndex = id === self.current ? 0 : -1;
  setText(self.hint, self.picked.size ? `${self.picked.size} marked. Esc clears the marks.` : "");
}

// How many tiles fit in a row is known to the browser alone.
function columns(root) {
  const top = root.children[0]?.offsetTop;
  const next = [...root.children].findIndex((child) => child.offsetTop !== top);
  return next < 0 ? root.children.length : next;
}

function focusAt(self, at) {
  const tile = self.tiles[Math.max(0, Math.min(self.tiles.length - 1, at))];
  if (!tile) return;
  self.current = tile.id;
  draw(self);
  self.buttons.get(tile.id).focus();
}

// Marks are numbered: what a run that began before the last mark says of them is older than what is shown.
function sendMarks(self) {
  draw(self);
  self.turn += 1;
  self.emit("picked", { rows: [...self.picked], turn: self.turn });
}

function toggle(self, id) {
  if (!self.picked.delete(id)) self.picked.add(id);
  self.anchor = id;
  sendMarks(self);
}

function markRange(self, id) {
  const order = self.tiles.map((tile) => tile.id);
  const ends = [Math.max(0, order.indexOf(self.anchor ?? id)), order.indexOf(id)].sort((a, b) => a - b);
  order.slice(ends[0], ends[1] + 1).forEach((one) => self.picked.add(one));
  sendMarks(self);
}

// When the dialog that a tile opened is closed, the focus is put on the tile of the image that was seen last, else
// back on that tile, if nothing else took it. The dialog itself cannot: it only knows the gallery's host.
function awaitReturn(self, id) {
  self.waiting?.disconnect();
  const dialog = () => document.querySelector("[role=dialog]");
  let seen = Boolean(dialog());
  const give = () => {
    const free = !document.activeElement || document.activeElement === document.body;
    if (!free && document.activeElement !== self.host) return;
    const last = self.tiles.findIndex((tile) => tile.id === Number(document.body.dataset.seenImage));
    if (last >= 0) focusAt(self, last);
    else self.buttons.get(id)?.focus({ preventScroll: true });
  };
  self.waiting = new MutationObserver(() => {
    if (dialog()) seen = true;
    else if (seen) {
      self.waiting.disconnect();
      setTimeout(give, 50); // after the dialog has given it to whom it knows
    }
  });
  self.waiting.observe(document.body, { childList: true, subtree: true });
}

function onClick(self, event) {
  const button = event.target.closest(".tile");
  if (!button || self.still || (self.box?.drawn && event.detail)) return; // Enter has no detail
  const id = Number(button.dataset.id);
  const marks = event.ctrlKey || event.metaKey || event.target.closest(".corner");
  self.current = id;
  if (self.marking && event.shiftKey) return markRange(self, id);
  if (self.marking && marks) return toggle(self, id);
  self.anchor = id;
  draw(self);
  if (!self.root.closest?.("[role=dialog]") && !document.querySelector("[role=dialog]")) awaitReturn(self, id);
  self.emit("opened", id);
}

// A box that is drawn with the mouse marks every tile that it touches. Fingers scroll instead.
function listenForBox(self) {
  const { root } = self;
  root.onpointerdown = (event) => {
    self.box = null; // the click that ended the last one is over
    if (!self.marking || event.button || event.pointerType !== "mouse") return;
    self.box = { x: event.clientX, y: event.clientY, drawn: null, inside: [] };
  };
  root.onpointermove = (event) => {
    const { box } = self;
    if (!box || !(event.buttons & 1)) return;
    const [left, right] = [box.x, event.clientX].sort((a, b) => a - b);
    const [top, bottom] = [box.y, event.clientY].sort((a, b) => a - b);
    if (!box.drawn && Math.max(right - left, bottom - top) < FAR) return;
    if (!box.drawn) {
      root.setPointerCapture(event.pointerId);
      root.append((box.drawn = element("div", "box")));
    }
    Object.assign(box.drawn.style, { left: `${left}px`, top: `${top}px` });
    Object.assign(box.drawn.style, { width: `${right - left}px`, height: `${bottom - top}px` });
    box.inside = [];
    for (const [id, button] of self.buttons) {
      const at = button.getBoundingClientRect();
      const touched = at.left < right && at.right > left && at.top < bottom && at.bottom > top;
      if (touched) box.inside.push(id);
      button.classList.toggle("boxed", touched);
    }
  };
  root.onpointerup = root.onpointercancel = (event) => {
    const { box } = self;
    if (!box?.drawn) return;
    box.drawn.remove();
    for (const button of self.buttons.values()) button.classList.remove("boxed");
    if (event.type !== "pointerup" || !box.inside.length) return;
    box.inside.forEach((id) => self.picked.add(id));
    sendMarks(self);
  };
}

function onKey(self, event) {
  if (self.still || isShortcut(event)) return;
  const at = self.tiles.findIndex((tile) => tile.id === self.current);
  const step = {
    ArrowRight: 1,
    ArrowLeft: -1,
    ArrowDown: columns(self.root),
    ArrowUp: -columns(self.root),
    Home: -self.tiles.length,
    End: self.tiles.length,
  }[event.key];
  if (step !== undefined) focusAt(self, at + step);
  else if (event.key === " " && self.marking) toggle(self, self.current);
  else if (event.key === "Escape" && self.picked.size) {
    self.picked.clear();
    sendMarks(self);
  } else return;
  event.preventDefault();
  event.stopPropagation(); // arrow keys also open the next image of a dialog, space scrolls
}

// Nothing scrolls sideways, so where nothing has the focus, or the link that led here, these keys begin at the
// pictures of the page.
function beginAtPictures(self, event) {
  if (!self.marking || isShortcut(event) || !["ArrowLeft", "ArrowRight"].includes(event.key)) return;
  const focus = document.activeElement;
  if ((focus !== document.body && focus.tagName !== "A") || document.querySelector("[role=dialog]")) return;
  event.preventDefault();
  focusAt(
    self,
    self.tiles.findIndex((tile) => tile.id === self.current),
  );
}

export default function (component) {
  const { data, parentElement, setTriggerValue } = component;
  const self = mounted(parentElement, () => ({ buttons: new Map(), turn: data.turn }));
  if (!self.begin) document.addEventListener("keydown", (self.begin = (event) => beginAtPictures(self, event)));
  self.root = parentElement.querySelector(".gallery");
  self.host = self.root.getRootNode().host;
  if (!self.buttons.size) self.root.replaceChildren();
  self.hint = parentElement.querySelector(".hint");
  self.tiles = data.tiles;
  self.marking = data.marking;
  self.still = data.still;
  self.zooms = data.zoom;
  if (data.turn >= self.turn) self.picked = new Set(data.picked);
  self.emit = setTriggerValue;
  self.root.setAttribute("aria-label", data.label);
  self.root.style.setProperty("--tile", `${data.tile}px`);
  self.root.classList.toggle("fixed", data.columns > 0);
  self.root.style.setProperty("--columns", data.columns);
  self.root.classList.toggle("marking", data.marking);
  self.root.onclick = (event) => onClick(self, event);
  listenForBox(self);
  self.root.onkeydown = (event) => onKey(self, event);
  draw(self);
  return () => {
    self.waiting?.disconnect();
    document.removeEventListener("keydown", self.begin);
    instances.delete(parentElement);
  };
}
