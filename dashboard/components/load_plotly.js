// The chart library, once a page. Stands before the scripts of every component that draws with it.
function plotly(address) {
  window.peregrinePlotly ??= new Promise((done, failed) => {
    if (window.Plotly) return done(window.Plotly);
    const script = document.createElement("script");
    script.src = address;
    script.onload = () => done(window.Plotly);
    script.onerror = () => {
      window.peregrinePlotly = undefined;
      failed(new Error("the chart library did not load"));
    };
    document.head.append(script);
  });
  return window.peregrinePlotly;
}
