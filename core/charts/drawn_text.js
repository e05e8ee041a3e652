// In the page that draws figures for print: a drawing carries its fonts, is laid
// out with them, and holds all of its text. What would stand out of it makes it smaller, never cut.
const FONT_STYLE = "peregrine-fonts"; // id of the <style> that holds the fonts of the page
const PAD = 1; // px around text that stood out
const pngOf = async (svg, width, height, scale) => {
  const picture = new Image();
  picture.src = `data:image/svg+xml,${encodeURIComponent(svg)}`;
  await picture.decode();
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [width * scale, height * scale];
  canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
  return canvas.toDataURL("image/png");
};

// The box of all text of a drawing, in its own units, and the box of the drawing.
function textBox(root) {
  const [left, top, width, height] = root.getAttribute("viewBox").split(/[ ,]+/).map(Number);
  const box = { left, top, right: left + width, bottom: top + height };
  const turned = root.getScreenCTM().inverse();
  for (const text of root.querySelectorAll("text")) {
    if (!text.textContent.trim()) continue;
    const seen = text.getBoundingClientRect();
    if (!seen.width || !seen.height) continue;
    const [a, b] = [[seen.left, seen.top], [seen.right, seen.bottom]].map(([x, y]) => new DOMPoint(x, y).matrixTransform(turned));
    if (a.x < box.left) box.left = a.x - PAD;
    if (a.y < box.top) box.top = a.y - PAD;
    if (b.x > box.right) box.right = b.x + PAD;
    if (b.y > box.bottom) box.bottom = b.y + PAD;
  }
  return box;
}

function freeLegends(root) { // their clip path is a guess at the width of text; only a scrolled one needs it
  for (const box of root.querySelectorAll(".legend .scrollbox")) {
    const bar = box.parentNode.querySelector(".scrollbar");
    if (Number(bar?.getAttribute("height") ?? 0) === 0) box.removeAttribute("clip-path");
  }
}

function fitText(root) {
  const [, , width, height] = root.getAttribute("viewBox").split(/[ ,]+/).map(Number);
  freeLegends(root);
  const { left, top, right, bottom } = textBox(root);
  const scale = Math.max((right - left) / width, (bottom - top) / height);
  root.setAttribute("viewBox", `${left} ${top} ${width * scale} ${height * scale}`);
}

// A plotly figure as the text of an SVG, without the fonts.
async function drawnSvg(draw, figure, { width, height }) {
  const shipped = [...document.fonts].filter((face) => /Tinos|Arimo/.test(face.family));
  await Promise.all(shipped.map((face) => face.load()));
  const svg = await draw(figure, { format: "svg", width, height, imageDataOnly: true });
  const holder = document.createElement("div");
  holder.style.cssText = "position:absolute;left:-99999px;top:0;visibility:hidden";
  document.body.append(holder);
  try {
    holder.append(document.importNode(new DOMParser().parseFromString(svg, "image/svg+xml").documentElement, true));
    fitText(holder.firstElementChild);
    return new XMLSerializer().serializeToString(holder.firstElementChild);
  } finally {
    holder.remove();
  }
}

// Kaleido asks Plotly for pictures: each is made of the one drawing, with its fonts.
function carryFonts() {
  const draw = window.Plotly.toImage;
  const style = document.getElementById(FONT_STYLE).textContent;
  window.Plotly.toImage = async (figure, options) => {
    if (!["svg", "png"].includes(options.format)) return draw(figure, options);
    const { width, height, format, scale = 1, imageDataOnly: bare } = options;
    const plain = await drawnSvg(draw, figure, options);
    const svg = plain.replace(/^<svg[^>]*>/, (opening) => `${opening}<style>${style}</style>`);
    if (format === "svg") return bare ? svg : `data:image/svg+xml,${encodeURIComponent(svg)}`;
    const png = await pngOf(svg, width, height, scale);
    return bare ? png.slice(png.indexOf(",") + 1) : png;
  };
}
