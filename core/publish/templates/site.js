// The lists of a published study. Texts of the study are only ever set as text; addresses are made of numbers.
"use strict";
addEventListener("DOMContentLoaded", () => {
  const byId = (id) => document.getElementById(id);
  const data = JSON.parse(byId("data").textContent);
  const PAGE = 60, CARDS = 48;
  const make = (tag, properties, ...children) => {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  };
  const padded = (number, width) => String(number).padStart(width, "0");
  const picture = (image, source) => (source
    ? make("img", { src: source, alt: image.id, loading: "lazy" })
    : make("span", { className: "quiet", textContent: "no picture is stored" }));
  const caption = (lines) => make("figcaption", {}, ...lines.map((line) => make("span", { textContent: line })));
  const words = () => byId("find").value.toLowerCase().split(/\s+/).filter(Boolean);
  const fits = (text) => words().every((word) => text.includes(word));
  const listed = data.rows.map((row) => data.pictures[row]);
  for (const one of listed) one.text = [one.id, ...one.lines, one.label].join(" ").toLowerCase();
  for (const one of data.features) one.text = `${one.name} ${one.facts}`.toLowerCase();

  for (const label of [...new Set(listed.map((one) => one.label))].filter(Boolean).sort()) {
    byId("class").append(make("option", { value: label, textContent: label }));
  }
  byId("class").hidden = byId("class").options.length < 2;
  byId("verdict").hidden = !listed.some((one) => one.verdict);

  let nImages = PAGE, nCards = CARDS;
  const fill = (list, count, more, found, shown, what, tile) => {
    byId(list).replaceChildren(...found.slice(0, shown).map(tile));
    byId(count).textContent = `${found.length.toLocaleString("en")} ${what}`;
    byId(more).hidden = found.length <= shown;
  };
  const show = () => {
    const label = byId("class").value, verdict = byId("verdict").value;
    const images = listed.filter((one) => (!label || one.label === label)
      && (!verdict || one.verdict === verdict) && fits(one.text));
    fill("images", "n-images", "more-images", images, nImages, "images",
      (one) => make("figure", {}, picture(one, one.src), caption(one.lines)));
    fill("cards", "n-features", "more-features", data.features.filter((one) => fits(one.text)), nCards, "features",
      (one) => {
        const first = data.pictures[one.rows[0]];
        const button = make("button", { type: "button", className: "card" },
          ...(first ? [picture(first, first.src)] : []), make("span", { textContent: one.name }));
        button.addEventListener("click", () => { location.hash = `feature-${one.feature}`; });
        return button;
      });
  };
  const again = () => { nImages = PAGE; nCards = CARDS; show(); };
  for (const id of ["find", "class", "verdict"]) byId(id).addEventListener("input", again);
  byId("more-images").addEventListener("click", () => { nImages += PAGE; show(); });
  byId("more-features").addEventListener("click", () => { nCards += CARDS; show(); });

  const panel = byId("panel");
  const open = () => {
    const number = /^#feature-(\d+)$/.exec(location.hash);
    const one = number && data.features.find((card) => card.feature === Number(number[1]));
    if (!one) {
      if (panel.open) panel.close();
      return;
    }
    byId("panel-name").textContent = one.name;
    byId("panel-facts").textContent = one.facts;
    byId("panel-images").replaceChildren(...one.rows.map((row, at) => {
      const image = data.pictures[row];
      const heat = `heatmaps/${padded(one.feature, 5)}-${padded(row, 7)}.jpg`;
      return make("figure", {}, picture(image, image.src),
        ...(one.heats[at] ? [make("img", { src: heat, alt: `heatmap of ${image.id}` })] : []), caption(image.lines));
    }));
    if (!panel.open) panel.showModal();
  };
  byId("close").addEventListener("click", () => panel.close());
  panel.addEventListener("close", () => {
    if (location.hash.startsWith("#feature-")) history.replaceState(null, "", "#browse");
  });
  addEventListener("hashchange", open);
  show();
  open();
});
