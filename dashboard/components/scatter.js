const CELLS = 200; // along either side of the grid that finds the point under the pointer
const REACH = 9; // pixels around the pointer
const CORNERS = 80; // at most so many corners of an outline travel back
const FAINT = 0.1;
const TOOLS = 40; // pixels at the top that the tools cover

const VERTEX = `attribute vec2 place; attribute vec4 colour; attribute float shape; uniform vec2 zoom, shift;
uniform float size; varying vec4 shade; varying float form; void main() {
gl_Position = vec4(place * zoom + shift, 0.0, 1.0); gl_PointSize = size * (shape < 0.5 ? 1.0 : shape < 1.5 ? 1.1 : 1.5);
shade = colour; form = shape; }`;
// How far out a place lies: 0.5 is the edge of the circle, the square or the triangle.
const FRAGMENT = `precision mediump float; varying vec4 shade; varying float form; void main() {
vec2 from = abs(gl_PointCoord - 0.5); float down = gl_PointCoord.y - 0.5;
float far = form < 0.5 ? length(from) : form < 1.5 ? max(from.x, from.y) * 1.15
  : 2.0 * max(down, from.x * 0.866 - down * 0.5);
if (far > 0.5) discard; float edge = 1.0 - smoothstep(0.36, 0.5, far);
gl_FragColor = vec4(shade.rgb, 1.0) * (shade.a * edge); }`;

// Points by their address, as promises. The last few stay for a reader who comes back.
const clouds = new Map();
const MOST_CLOUDS = 4;

// A header and numbers behind it; `packed` in map_points.py says which.
function unpack(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  let at = 4 + length;
  // Views into the buffer, not copies. The server pads the header, since such a view must begin at a multiple of
  // the size of its numbers.
  const take = (kind, size) => {
    const part = new kind(buffer, at, size);
    at += part.byteLength;
    return part;
  };
  const rows = take(Int32Array, header.n);
  const xy = take(Float32Array, 2 * header.n);
  const said = header.said.map((line) => ({
    ...line,
    values: take(line.words.length ? Int32Array : Float32Array, header.n),
  }));
  const values = take(Int32Array, header.names.length ? header.n : 0);
  return { ...header, rows, xy, said, values, codes: take(Uint8Array, header.n), inside: take(Uint8Array, header.n) };
}

async function fetched(address) {
  const answer = await fetch(address);
  if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
  return unpack(await answer.arrayBuffer());
}

function pointsAt(address) {
  const points = clouds.get(address) ?? fetched(address);
  // A map keeps the order of insertion: what is put in again is the newest, and the first key the oldest.
  clouds.delete(address);
  clouds.set(address, points);
  points.catch(() => clouds.delete(address)); // the next reader tries again
  if (clouds.size > MOST_CLOUDS) clouds.delete(clouds.keys().next().value);
  return points;
}

function channels(colour) {
  return [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
}

// Where WebGL is switched off or blocked, points are squares that are drawn one by one.
function makePainter(canvas) {
  const gl = canvas.getContext("webgl", { antialias: false, premultipliedAlpha: true });
  return gl ? webglPainter(gl) : plainPainter(canvas.getContext("2d"));
}

function webglPainter(gl) {
  const program = gl.createProgram();
  for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  gl.useProgram(program);
  gl.enable(gl.BLEND);
  // The shader multiplies colours by their opacity itself, so they are added as they are.
  gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
  const at = (name) => gl.getUniformLocation(program, name);
  const [zoom, shift, size] = [at("zoom"), at("shift"), at("size")];
  const buffers = {}; // colours change with every entry of the legend that is pointed at
  const fill = (name, values, width, type, normalised) => {
    gl.bindBuffer(gl.ARRAY_BUFFER, (buffers[name] ??= gl.createBuffer()));
    gl.bufferData(gl.ARRAY_BUFFER, values, gl.STATIC_DRAW);
    const place = gl.getAttribLocation(program, name);
    gl.enableVertexAttribArray(place);
    gl.vertexAttribPointer(place, width, type, normalised, 0, 0);
  };
  return {
    name: "webgl",
    places: (xy) => fill("place", xy, 2, gl.FLOAT, false),
    colours: (rgba) => fill("colour", rgba, 4, gl.UNSIGNED_BYTE, true),
    shapes: (bytes) => fill("shape", bytes, 1, gl.UNSIGNED_BYTE, false),
    draw(self, width, height, ratio) {
      const { view } = self;
      const across = acrossOf(self);
      gl.viewport(0, 0, width * ratio, height * ratio);
      gl.clearColor(0, 0, 0, 0);
      gl.clear(gl.COLOR_BUFFER_BIT);
      gl.uniform2f(zoom, (2 * across) / width, (2 * view.scale) / height);
      gl.uniform2f(shift, (-2 * view.x * across) / width, (-2 * view.y * view.scale) / height);
      gl.uniform1f(size, self.dot * ratio);
      gl.drawArrays(gl.POINTS, 0, self.rows.length);
    },
    // Browsers allow about 16 contexts; without this, one lives until its memory is collected.
    close: () => gl.getExtension("WEBGL_lose_context")?.loseContext(),
  };
}

function plainPainter(pen) {
  let colours = null;
  return {
    name: "canvas",
    places() {},
    colours: (rgba) => (colours = rgba),
    shapes() {},
    draw(self, width, height, ratio) {
      pen.setTransform(ratio, 0, 0, ratio, 0, 0);
      pen.clearRect(0, 0, width, height);
      let last = "";
      for (let i = 0; i < self.rows.length; i++) {
        const [x, y] = onScreen(self, self.xy[2 * i], self.xy[2 * i + 1]);
        if (x < -9 || y < -9 || x > width + 9 || y > height + 9) continue;
        const [r, g, b, a] = colours.subarray(4 * i, 4 * i + 4);
        const style = `rgba(${r},${g},${b},${a / 255})`;
        if (style !== last) pen.fillStyle = last = style; // setting it costs more than drawing the square
        pen.fillRect(x - self.dot / 2, y - self.dot / 2, self.dot, self.dot);
      }
    },
    close() {},
  };
}

// Pixels of a unit from left to right: of a map whose axes have no unit it may be more than from top to bottom.
function acrossOf({ view, stretch }) {
  return view.scale * stretch;
}

function onScreen(self, x, y) {
  const { view, width, height } = self;
  return [(x - view.x) * acrossOf(self) + width / 2, height / 2 - (y - view.y) * view.scale];
}

function onMap(self, x, y) {
  const { view, width, height } = self;
  return [(x - width / 2) / acrossOf(self) + view.x, (height / 2 - y) / view.scale + view.y];
}

function bounds(xy) {
  const box = [Infinity, Infinity, -Infinity, -Infinity];
  for (let i = 0; i < xy.length; i += 2) {
    box[0] = Math.min(box[0], xy[i]);
    box[1] = Math.min(box[1], xy[i + 1]);
    box[2] = Math.max(box[2], xy[i]);
    box[3] = Math.max(box[3], xy[i + 1]);
  }
  return xy.length ? box : [0, 0, 1, 1];
}

// What is outlined may reach beyond the points.
function boxWith([left, low, right, high], outline) {
  const [xs, ys] = [0, 1].map((axis) => outline.map((corner) => corner[axis]));
  return [Math.min(left, ...xs), Math.min(low, ...ys), Math.max(right, ...xs), Math.max(high, ...ys)];
}

function fit(self) {
  const [left, low, right, high] = boxWith(self.box, self.outline);
  const wide = Math.max(right - left, 1e-6);
  const tall = Math.max(high - low, 1e-6);
  const free = self.height - TOOLS; // below the tools
  self.stretch = Math.max(1, Math.min(self.widest, self.width / wide / (free / tall)));
  const scale = 0.92 * Math.min(self.width / (wide * self.stretch), free / tall);
  self.view = { x: (left + right) / 2, y: (low + high) / 2 + TOOLS / 2 / scale, scale };
  self.fitted = scale;
  self.moved = false;
  render(self);
}

// Another size, for instance since the selection opened beside the map: all points where all were shown, else
// what was shown from left to right.
function resized(self, before) {
  const { view, moved } = self;
  const across = acrossOf(self);
  fit(self);
  if (!moved) return;
  self.view = { ...view, scale: (across * self.width) / before / self.stretch };
  self.moved = true;
}

function showsAll(self) {
  const [left, low, right, high] = self.box;
  const corners = [onScreen(self, left, low), onScreen(self, right, high)];
  return corners.every(([x, y]) => x >= 0 && x <= self.width && y >= 0 && y <= self.height);
}

// Points sorted by their cell, row of cells after row (a counting sort). So the points of neighbouring cells of one
// row stand side by side in `order`, and a pointer looks at a few short ranges in place of a million points.
function buildGrid({ xy, box }) {
  const step = Math.max(box[2] - box[0], box[3] - box[1], 1e-9) / CELLS;
  const cell = (x, y) => Math.floor((y - box[1]) / step) * (CELLS + 1) + Math.floor((x - box[0]) / step);
  const starts = new Uint32Array((CELLS + 1) * (CELLS + 1) + 1);
  const homes = new Uint32Array(xy.length / 2);
  for (let i = 0; i < homes.length; i++) starts[(homes[i] = cell(xy[2 * i], xy[2 * i + 1])) + 1]++;
  for (let i = 1; i < starts.length; i++) starts[i] += starts[i - 1];
  const next = starts.slice();
  const order = new Uint32Array(homes.length);
  homes.forEach((home, i) => (order[next[home]++] = i));
  return { step, starts, order };
}

function nearest(self, x, y) {
  if (!self.xy) return -1;
  self.grid ??= buildGrid(self);
  const { grid, box, xy } = self;
  const reach = REACH / self.view.scale;
  const beside = REACH / acrossOf(self);
  const [mx, my] = onMap(self, x, y);
  const clamp = (value) => Math.max(0, Math.min(CELLS, value));
  const [left, right] = [-beside, beside].map((d) => clamp(Math.floor((mx + d - box[0]) / grid.step)));
  const [low, high] = [-reach, reach].map((d) => clamp(Math.floor((my + d - box[1]) / grid.step)));
  let best = -1;
  let least = reach * reach;
  for (let row = low; row <= high; row++) {
    const first = row * (CELLS + 1);
    for (let at = grid.starts[first + left]; at < grid.starts[first + right + 1]; at++) {
      const i = grid.order[at];
      const far = ((xy[2 * i] - mx) * self.stretch) ** 2 + (xy[2 * i + 1] - my) ** 2;
      if (far < least && self.inside[i]) [best, least] = [i, far];
    }
  }
  return best;
}

function pointAt(self, x, y) {
  const at = pictured(self, x, y); // it lies over the points
  return at >= 0 ? at : nearest(self, x, y);
}

// A point is inside if a ray from it to the left crosses the outline an odd number of times.
function inside(outline, x, y) {
  let odd = false;
  for (let i = 0, j = outline.length - 1; i < outline.length; j = i++) {
    const [x0, y0] = outline[i];
    const [x1, y1] = outline[j];
    if (y0 > y !== y1 > y && x < ((x1 - x0) * (y - y0)) / (y1 - y0) + x0) odd = !odd;
  }
  return odd;
}

function paintColours(self) {
  if (!self.xy) return;
  const shades = self.palette.map(channels);
  const rgba = new Uint8Array(4 * self.codes.length);
  const chosen = self.outline.length > 2;
  let selected = 0;
  for (let i = 0; i < self.codes.length; i++) {
    const within = chosen && self.inside[i] && inside(self.outline, self.xy[2 * i], self.xy[2 * i + 1]);
    selected += within;
    const lit = isLit(self, i) && (within || !chosen);
    const shade = shades[self.codes[i]];
    const at = 4 * i;
    rgba[at] = shade[0];
    rgba[at + 1] = shade[1];
    rgba[at + 2] = shade[2];
    rgba[at + 3] = 255 * (lit ? (chosen ? 0.95 : 0.8) : FAINT);
  }
  self.painter.colours(rgba);
  self.stage.dataset.selected = selected;
}

// Pixels of a point at the zoom that shows all: a few points may be large, a million are small.
function usualDot(count) {
  return Math.max(2.2, Math.min(count < 1000 ? 6 * (1000 / count) ** 0.25 : 6, 700 / Math.sqrt(count)));
}

// Draw in the next frame, once for all changes until then. `marksOnly` leaves the points as they are: what moves with
// the pointer must not redraw a million of them.
function render(self, { marksOnly = false } = {}) {
  self.stale ||= !marksOnly; // the points themselves must be drawn anew
  if (self.pending) return;
  self.pending = requestAnimationFrame(() => {
    self.pending = 0;
    if (!self.view || !self.width) return;
    const all = self.stale;
    self.stale = false;
    if (!all) return drawMarks(self);
    const zoomed = Math.max(self.view.scale / self.fitted, 1);
    self.dot = Math.min(14, usualDot(self.rows.length || 1) * zoomed ** 0.25);
    self.painter.draw(self, self.width, self.height, self.ratio);
    self.stage.dataset.whole = String(showsAll(self));
    drawMarks(self);
    movePictures(self);
    laterPictures(self);
  });
}

function drawMarks(self) {
  const pen = self.marks.getContext("2d");
  pen.setTransform(self.ratio, 0, 0, self.ratio, 0, 0);
  pen.clearRect(0, 0, self.width, self.height);
  const ink = getComputedStyle(self.stage).color;
  const line = self.drawn ?? self.outline.map(([x, y]) => onScreen(self, x, y));
  if (line.length > 1) {
    pen.beginPath();
    line.forEach(([x, y], at) => (at ? pen.lineTo(x, y) : pen.moveTo(x, y)));
    pen.closePath();
    pen.setLineDash([5, 4]);
    pen.lineWidth = 1.5;
    pen.strokeStyle = ink;
    pen.stroke();
  }
  for (const [, x, y] of self.found) {
    const [left, top] = onScreen(self, x, y);
    pen.beginPath();
    pen.setLineDash([]);
    pen.arc(left, top, self.dot / 2 + 2.5, 0, 7);
    pen.lineWidth = 1.5;
    pen.strokeStyle = ink;
    pen.stroke();
  }
  placeWords(self);
  if (self.over >= 0) {
    const [x, y] = onScreen(self, self.xy[2 * self.over], self.xy[2 * self.over + 1]);
    pen.beginPath();
    pen.setLineDash([]);
    pen.arc(x, y, self.dot / 2 + 3, 0, 7);
    pen.lineWidth = 2;
    pen.strokeStyle = ink;
    pen.stroke();
  }
}

function measure(self) {
  const { clientWidth: width, clientHeight: height } = self.stage;
  self.ratio = window.devicePixelRatio || 1;
  if (!width || (width === self.width && height === self.height)) return;
  const before = self.width;
  Object.assign(self, { width, height });
  for (const canvas of [self.dots, self.marks]) {
    canvas.width = width * self.ratio;
    canvas.height = height * self.ratio;
  }
  if (before && self.view) resized(self, before);
  else if (self.box) fit(self);
}

function zoomAt(self, factor, x = self.width / 2, y = self.height / 2) {
  if (!self.view) return;
  const [mx, my] = onMap(self, x, y); // stays under the pointer
  const scale = Math.min(Math.max(self.view.scale * factor, self.fitted / 4), self.fitted * 400);
  self.view = {
    scale,
    x: mx - (x - self.width / 2) / (scale * self.stretch),
    y: my + (y - self.height / 2) / scale,
  };
  self.moved = true;
  render(self);
}

function setMode(self, mode) {
  self.mode = mode;
  self.stage.classList.toggle("lasso", mode === "lasso");
  self.stage.classList.toggle("box", mode === "box");
  for (const button of self.root.querySelectorAll("[data-mode]")) {
    button.setAttribute("aria-pressed", String(button.dataset.mode === mode));
  }
}

function setOutline(self, outline) {
  self.outline = outline;
  self.root.querySelector("[data-do=clear]").hidden = outline.length < 3;
  paintColours(self);
  render(self);
}

function finishOutline(self, line) {
  const stride = Math.max(1, Math.ceil(line.length / CORNERS));
  const corners = line.filter((_, at) => at % stride === 0).map(([x, y]) => onMap(self, x, y));
  const outline = corners.map((pair) => pair.map((value) => Number(value.toPrecision(6)))); // it goes into the address
  setOutline(self, outline.length > 2 ? outline : []);
  self.emit("outline", self.outline);
}

function rest(self, at) {
  if (at === self.over) return;
  self.over = at;
  self.stage.classList.toggle("over", at >= 0);
  self.tip.hidden = true;
  clearTimeout(self.waiting);
  // A pointer that only passes over a point asks the server for no picture.
  if (at >= 0) self.waiting = setTimeout(() => showTip(self, at), 70);
  render(self, { marksOnly: true });
}

function tipLine(name, value) {
  const line = element("p");
  line.append(element("span", "", `${name} `), value);
  return line;
}

function showTip(self, at) {
  const lines = self.said.map(({ name, values, words }) => {
    const value = words.length ? words[values[at]] : Number.isNaN(values[at]) ? undefined : values[at].toPrecision(3);
    if (value === undefined) return null;
    return tipLine(name, value);
  });
  const parts = lines.filter(Boolean);
  const title = self.title;
  if (self.names.length && title !== "Correctness" && !self.said.some(({ name }) => name.startsWith(title.split(" ")[0]))) {
    parts.push(tipLine(title, self.shown[self.values[at]]));
  }
  if (self.pictures) {
    const image = document.createElement("img");
    image.alt = "";
    image.src = self.pictures.replace("{row}", self.rows[at]);
    parts.unshift(image);
  }
  self.tip.replaceChildren(...parts);
  const [x, y] = onScreen(self, self.xy[2 * at], self.xy[2 * at + 1]);
  self.tip.hidden = !parts.length;
  const { offsetWidth: wide, offsetHeight: tall } = self.tip;
  self.tip.style.left = `${x + 14 + wide > self.width ? x - wide - 14 : x + 14}px`;
  self.tip.style.top = `${Math.max(4, Math.min(y - tall / 2, self.height - tall - 4))}px`;
}

function place(self, event) {
  const box = self.stage.getBoundingClientRect();
  return [event.clientX - box.left - self.stage.clientLeft, event.clientY - box.top - self.stage.clientTop];
}

function boxOf([x0, y0], [x1, y1]) {
  return [[x0, y0], [x1, y0], [x1, y1], [x0, y1]];
}

function listen(self) {
  const { stage } = self;
  let from = null;
  let moved = false;
  stage.onpointerdown = (event) => {
    if (event.button || !self.view) return;
    from = place(self, event);
    moved = false;
    self.begun = { ...self.view };
    if (self.mode === "lasso") self.drawn = [from];
    stage.setPointerCapture(event.pointerId); // a line that is drawn beyond the edge goes on
  };
  stage.onpointermove = (event) => {
    const here = place(self, event);
    if (!from) return rest(self, pointAt(self, ...here));
    moved ||= Math.hypot(here[0] - from[0], here[1] - from[1]) > 3; // a click with an unsteady hand is a click
    if (!moved) return;
    rest(self, -1);
    if (self.mode === "lasso") self.drawn.push(here);
    else if (self.mode === "box") self.drawn = boxOf(from, here);
    else {
      const { x, y, scale } = self.begun;
      self.view = { scale, x: x - (here[0] - from[0]) / acrossOf(self), y: y + (here[1] - from[1]) / scale };
      self.moved = true;
    }
    render(self, { marksOnly: self.mode !== "move" });
  };
  stage.onpointerup = (event) => {
    const line = self.drawn;
    const clicked = from && !moved;
    from = self.drawn = null;
    if (clicked) {
      const at = pointAt(self, ...place(self, event));
      if (at >= 0) self.emit("opened", self.rows[at]);
    } else if (line) finishOutline(self, line);
    render(self);
  };
  stage.onpointercancel = () => {
    from = self.drawn = null;
    render(self);
  };
  stage.onpointerleave = () => from || rest(self, -1);
  stage.addEventListener("wheel", (event) => {
    const focused = self.stage.getRootNode().activeElement === stage;
    if (!focused && !event.ctrlKey) return; // the page goes on scrolling until the map was clicked
    event.preventDefault();
    zoomAt(self, Math.exp(-Math.max(-60, Math.min(60, event.deltaY)) * 0.006), ...place(self, event));
  }, { passive: false });
  stage.onkeydown = (event) => onKey(self, event);
  self.root.querySelector(".tools").onclick = (event) => onTool(self, event.target.closest("button"));
}

function onTool(self, button) {
  if (!button || !self.view) return;
  if (button.dataset.mode) setMode(self, button.dataset.mode);
  else if (button.dataset.do === "words") toggleWords(self, button);
  else if (button.dataset.do === "pictures") togglePictures(self, button);
  else act(self, button.dataset.do);
}

function act(self, what) {
  if (what === "in") zoomAt(self, 1.5);
  else if (what === "out") zoomAt(self, 1 / 1.5);
  else if (what === "fit") fit(self);
  else if (self.outline.length) finishOutline(self, []);
}

function onKey(self, event) {
  if (!self.view || isShortcut(event)) return;
  const step = 40 / self.view.scale;
  const side = 40 / acrossOf(self);
  const moves = { ArrowLeft: [-side, 0], ArrowRight: [side, 0], ArrowUp: [0, step], ArrowDown: [0, -step] };
  const acts = { "+": "in", "=": "in", "-": "out", 0: "fit", Escape: "clear" };
  if (moves[event.key]) {
    self.view = { ...self.view, x: self.view.x + moves[event.key][0], y: self.view.y + moves[event.key][1] };
    self.moved = true;
    render(self);
  } else if (acts[event.key]) act(self, acts[event.key]);
  else return;
  event.preventDefault();
  event.stopPropagation();
}

function mount(parentElement) {
  const root = parentElement.querySelector(".scatter");
  const find = (name) => root.querySelector(name);
  const self = { root, stage: find(".stage"), dots: find(".dots"), marks: find(".marks"), tip: find(".tip") };
  Object.assign(self, { mode: "move", outline: [], found: [], clusters: [], pressed: [], pointed: -1, over: -1 });
  Object.assign(self, { stretch: 1, widest: 1 });
  self.words = find(".words");
  self.thumbs = find(".pictures");
  self.wordBoxes = [];
  self.legend = find(".legend");
  self.painter = makePainter(self.dots);
  self.stage.dataset.painter = self.painter.name;
  listen(self);
  self.watcher = new ResizeObserver(() => measure(self));
  self.watcher.observe(self.stage);
  return self;
}

const same = (one, other) => one.length === other?.length && one.every((value, at) => value === other[at]);

function show(self, points) {
  rest(self, -1);
  const moved = !same(points.xy, self.xy); // not when only the colours are others
  Object.assign(self, points);
  self.thumbs.replaceChildren(); // their places are among other points
  if (moved) {
    self.painter.places(self.xy);
    self.box = bounds(self.xy);
    self.grid = null; // made when a pointer looks for a point
  }
  self.painter.shapes(self.codes.map((code) => self.shapes[code] ?? 0));
  self.stage.dataset.points = self.rows.length;
  drawLegend(self);
  measure(self);
  setOutline(self, self.outline);
  if (moved && self.width && !self.kept) fit(self);
  self.kept = true;
}

function load(self, address) {
  self.address = address;
  delete self.stage.dataset.points;
  const asked = () => self.address === address && !self.gone; // answers may come in another order
  pointsAt(address).then(
    (points) => asked() && show(self, points),
    (error) => {
      if (!asked()) return;
      self.address = null; // the next rerun tries again
      self.legend.textContent = `The points could not be loaded: ${error.message}.`;
    },
  );
}

export default function (component) {
  const { data, parentElement, setTriggerValue } = component;
  const self = mounted(parentElement, mount);
  Object.assign(self, { emit: setTriggerValue, pictures: data.pictures, widest: data.widest });
  self.stage.setAttribute("aria-label", data.label);
  measure(self);
  setFound(self, data.found);
  setPressed(self, data.pressed, data.filters);
  setClusters(self, data.clusters);
  setOutline(self, data.outline);
  self.root.querySelector("[data-do=pictures]").hidden = !data.pictures;
  if (self.address !== data.address) load(self, data.address);
  return () => {
    self.gone = true;
    self.watcher.disconnect();
    cancelAnimationFrame(self.pending);
    clearTimeout(self.still);
    self.painter.close();
    instances.delete(parentElement);
  };
}
