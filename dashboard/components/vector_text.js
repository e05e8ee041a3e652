// A saved SVG looks as on the page on a machine that lacks the page's font: the font goes along, each piece of
// text keeps the width that it was laid out with (programs that ignore such fonts stretch another one), and
// nothing clips the legend, whose clip path was measured in the page's font.
const SVG = "http://www.w3.org/2000/svg";
const FAMILY = "Source Sans";
let font;

function faceRule() {
  for (const sheet of document.styleSheets) {
    let rules = [];
    try {
      rules = [...sheet.cssRules];
    } catch {
      continue; // of another origin
    }
    const face = rules.find((rule) => rule instanceof CSSFontFaceRule
      && rule.style.getPropertyValue("font-family").replaceAll(/["']/g, "") === FAMILY
      && !/italic/i.test(rule.style.getPropertyValue("font-style")));
    if (face) return { rule: face, base: sheet.href ?? document.baseURI };
  }
  return null;
}

async function fontFace() {
  const found = faceRule();
  const address = found?.rule.style.getPropertyValue("src").match(/url\(["']?([^"')]+)/)?.[1];
  if (!address) return "";
  const answer = await fetch(new URL(address, found.base));
  if (!answer.ok) return "";
  const bytes = new Uint8Array(await answer.arrayBuffer());
  let text = "";
  for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192));
  const weight = found.rule.style.getPropertyValue("font-weight") || "200 900";
  return `@font-face{font-family:"${FAMILY}";font-weight:${weight};`
    + `src:url(data:font/woff2;base64,${btoa(text)}) format("woff2")}`;
}

function keepWidths(root) {
  const pieces = [...root.querySelectorAll("text, tspan")].filter(
    (one) => !one.firstElementChild && one.textContent.trim(),
  );
  const widths = pieces.map((one) => one.getComputedTextLength());
  pieces.forEach((one, at) => {
    if (!(widths[at] > 0)) return;
    one.setAttribute("textLength", widths[at].toFixed(2));
    one.setAttribute("lengthAdjust", "spacingAndGlyphs");
  });
}

function freeLegends(root) {
  for (const box of root.querySelectorAll(".legend .scrollbox")) {
    const bar = box.parentNode.querySelector(".scrollbar");
    if (Number(bar?.getAttribute("height") ?? 0) === 0) box.removeAttribute("clip-path");
  }
}

export async function portable(svg) {
  const holder = document.createElement("div");
  holder.style.cssText = "position:absolute;left:-99999px;top:0;visibility:hidden";
  holder.setAttribute("aria-hidden", "true");
  document.body.append(holder);
  try {
    holder.append(document.importNode(new DOMParser().parseFromString(svg, "image/svg+xml").documentElement, true));
    const root = holder.firstElementChild;
    freeLegends(root);
    keepWidths(root);
    if (root.outerHTML.includes(FAMILY)) {
      font ??= await fontFace();
      const style = document.createElementNS(SVG, "style");
      style.textContent = font;
      if (font) root.prepend(style);
    }
    return new XMLSerializer().serializeToString(root);
  } finally {
    holder.remove();
  }
}
