// Presses the camera button of plotly's own toolbar with the wanted format: it draws the chart as it is now.
function camera(chart) {
  const buttons = chart?.querySelectorAll(".modebar-btn") ?? [];
  return [...buttons].find((one) => (one.dataset.title ?? "").startsWith("Download plot"));
}

function save(key, format) {
  const chart = document.querySelector(`.st-key-${CSS.escape(key)} .js-plotly-plot`);
  const button = camera(chart);
  if (!button || !chart._context) return false;
  chart._context.toImageButtonOptions = { ...chart._context.toImageButtonOptions, format };
  button.click();
  return true;
}

export default function ({ data, parentElement }) {
  const said = parentElement.querySelector(".said");
  said.textContent = "";
  for (const button of parentElement.querySelectorAll("button")) {
    const format = button.dataset.format;
    button.title = `Save this chart as ${format.toUpperCase()}: ${data.hints[format]}`;
    button.setAttribute("aria-label", `Save as ${format.toUpperCase()}: ${data.alt}`);
    button.onclick = () => {
      said.textContent = save(data.chart, format) ? "" : "The chart is not drawn yet.";
    };
  }
}
