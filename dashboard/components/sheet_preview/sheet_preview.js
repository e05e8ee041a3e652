// The cells are drawn by plotly from the same figures, in the same fonts, and stand in the same places, as on the
// printed page.
// A new page is put together aside from those cells of the old one that did not change, and shown when it is done.
let turn = Promise.resolve();

// One cell of the page after another; between two of them the browser shows what is drawn.
function inTurn(act) {
  const mine = turn.then(() => new Promise((go) => setTimeout(go))).then(act);
  turn = mine.catch(() => {});
  return mine;
}

// What is drawn in a cell; the same for as long as this is.
function drawingOf({ figure, src, why, width, content_height: height }) {
  return `${width} ${height} ${figure || src || why}`;
}

async function body(self, cell) {
  const node = element("div", "body");
  node.drawing = drawingOf(cell);
  node.style.height = `${cell.content_height}px`;
  if (cell.figure) {
    const { data, layout } = JSON.parse(cell.figure);
    const library = await plotly(self.data.library);
    const [width, height] = cell.drawn;
    node.innerHTML = await drawnSvg(library.toImage, { data, layout }, { width, height });
    Object.assign(node.firstElementChild.style, { display: "block", width: "100%", height: "100%" });
  } else if (cell.src) {
    const image = document.createElement("img");
    image.alt = cell.alt;
    image.src = cell.src;
    await image.decode().catch(() => {});
    node.append(image);
  } else node.append(element("div", "why", cell.why));
  return node;
}

function placed(self, cell, content) {
  const { data } = self;
  const node = element("div", "cell");
  const { left, top, width, height } = cell;
  Object.assign(node.style, { left: `${left}px`, top: `${top}px`, width: `${width}px`, height: `${height}px` });
  node.setAttribute("role", "img");
  node.setAttribute("aria-label", `${cell.letter} ${cell.alt}`.trim());
  if (cell.letter) {
    const letter = element("div", "letter", cell.letter);
    Object.assign(letter.style, { height: `${data.head}px`, lineHeight: `${data.head}px` });
    node.append(letter);
  }
  node.append(content);
  cell.caption.forEach((line, at) => {
    const words = element("div", "caption", line);
    Object.assign(words.style, {
      font: `${data.caption_size}px/${data.caption_line}px ${data.font}`,
      marginTop: at ? "0" : `${data.caption_space}px`,
    });
    node.append(words);
  });
  return node;
}

// The page is laid out in print's pixels and scaled as a whole, so that lines break as on paper.
function fit(self) {
  const { width, height, margin } = self.data;
  const room = self.holder.clientWidth - 2 * margin;
  if (room <= 0) return;
  const scale = Math.min(room / width, 1.6);
  const left = margin + Math.max(0, (room - width * scale) / 2);
  Object.assign(self.page.style, {
    width: `${width}px`,
    height: `${height}px`,
    transform: `translate(${left}px, ${margin}px) scale(${scale})`,
  });
  self.holder.style.height = `${height * scale + 2 * margin}px`;
}

async function draw(self) {
  const { data } = self;
  const text = JSON.stringify(data);
  if (self.gone || self.shown === text) return;
  const drawn = new Map([...self.page.querySelectorAll(".body")].map((one) => [one.drawing, one]));
  const bodies = [];
  for (const cell of data.cells) bodies.push(drawn.get(drawingOf(cell)) ?? (await inTurn(() => body(self, cell))));
  if (self.gone || self.data !== data) return; // a newer one is waiting
  const used = new Set(); // an element stands in one place only: a cell that comes twice gets a copy
  const cells = data.cells.map((cell, at) => {
    const content = used.has(bodies[at]) ? bodies[at].cloneNode(true) : bodies[at];
    used.add(content);
    return placed(self, cell, content);
  });
  self.page.style.fontFamily = data.font;
  self.page.replaceChildren(...cells);
  self.shown = text;
  fit(self);
  self.holder.dataset.drawn = String(data.cells.length);
}

function start(parentElement) {
  const holder = parentElement.querySelector(".peregrine-sheet");
  const self = { holder, page: holder.firstElementChild, busy: Promise.resolve() };
  self.size = new ResizeObserver(() => self.shown && fit(self));
  self.size.observe(holder);
  return self;
}

export default function ({ data, parentElement }) {
  const self = mounted(parentElement, start);
  self.data = data;
  self.holder.setAttribute("aria-label", `The sheet as it will be printed: ${data.cells.length} figures`);
  // One after another: a slow figure of an older sheet must not be put over the newer one.
  self.busy = self.busy.then(() => draw(self)).catch((error) => {
    self.shown = null;
    self.page.replaceChildren(element("div", "why", `The preview could not be drawn: ${error.message}.`));
  });
  return () => {
    self.gone = true;
    self.size.disconnect();
    instances.delete(parentElement);
  };
}
