// Pictures of some images at their points, so that one sees what lies where: the fuller a part of the map, the sooner
// it has one. They are chosen again when the map has stood still for a moment. scatter.js comes after this file.
const PART = 64; // pixels; side of the squares of which each has at most one
const HALF = 22; // pixels from the middle of a picture to its edge
const MOST_PICTURES = 48;
const TRIED = 50; // points of a square that are tried for one that lies over no word and no other picture
const STILL = 200; // milliseconds

// The points of each square, those of its most common colour first, and of these those near the middle of its
// points; the fullest squares first.
function pointsBySquare(self) {
  const { width, height, xy, rows } = self;
  const wide = Math.ceil(width / PART);
  const parts = new Map();
  for (let i = 0; i < rows.length; i++) {
    if (!isLit(self, i)) continue;
    const [x, y] = onScreen(self, xy[2 * i], xy[2 * i + 1]);
    if (x < HALF || y < HALF + TOOLS || x > width - HALF || y > height - HALF) continue;
    const at = Math.floor(y / PART) * wide + Math.floor(x / PART);
    if (!parts.has(at)) parts.set(at, []);
    parts.get(at).push({ i, x, y });
  }
  const squares = [...parts.values()].sort((one, other) => other.length - one.length).slice(0, 4 * MOST_PICTURES);
  for (const points of squares) {
    const middle = (name) => points.reduce((sum, point) => sum + point[name], 0) / points.length;
    const [x, y] = [middle("x"), middle("y")];
    const counts = new Map();
    for (const { i } of points) counts.set(self.codes[i], (counts.get(self.codes[i]) ?? 0) + 1);
    for (const point of points) {
      point.far = Math.hypot(point.x - x, point.y - y);
      point.like = counts.get(self.codes[point.i]);
    }
    points.sort((one, other) => other.like - one.like || one.far - other.far);
  }
  return squares;
}

function choosePictures(self) {
  if (!self.view || !self.xy || !self.pictures || self.thumbs.hidden) return;
  const taken = self.wordBoxes.slice();
  const chosen = [];
  const isFree = ({ x, y }) =>
    !taken.some(([l, t, r, b]) => x - HALF < r && x + HALF > l && y - HALF < b && y + HALF > t);
  for (const points of pointsBySquare(self)) {
    const point = points.slice(0, TRIED).find(isFree);
    if (!point) continue;
    taken.push([point.x - HALF, point.y - HALF, point.x + HALF, point.y + HALF]);
    chosen.push(point.i);
    if (chosen.length === MOST_PICTURES) break;
  }
  const there = new Map([...self.thumbs.children].map((image) => [Number(image.dataset.row), image]));
  self.thumbs.replaceChildren(
    ...chosen.map((i) => {
      const row = self.rows[i];
      const image = there.get(row) ?? document.createElement("img");
      image.alt = "";
      image.dataset.row = row;
      image.dataset.at = i;
      image.style.borderColor = self.palette[self.codes[i]];
      if (!image.src) image.src = self.pictures.replace("{row}", row);
      return image;
    }),
  );
  movePictures(self);
}

function movePictures(self) {
  for (const image of self.thumbs.children) {
    const i = Number(image.dataset.at);
    const [x, y] = onScreen(self, self.xy[2 * i], self.xy[2 * i + 1]);
    image.style.transform = `translate(${x}px, ${y}px)`;
  }
}

// The point whose picture is at a place of the stage; -1 for none.
function pictured(self, x, y) {
  for (const image of self.thumbs.hidden ? [] : self.thumbs.children) {
    const i = Number(image.dataset.at);
    const [left, top] = onScreen(self, self.xy[2 * i], self.xy[2 * i + 1]);
    if (Math.abs(x - left) < HALF && Math.abs(y - top) < HALF) return i;
  }
  return -1;
}

function laterPictures(self) {
  clearTimeout(self.still);
  self.still = setTimeout(() => choosePictures(self), STILL);
}

function togglePictures(self, button) {
  self.thumbs.hidden = !self.thumbs.hidden;
  button.setAttribute("aria-pressed", String(!self.thumbs.hidden));
  choosePictures(self);
}
