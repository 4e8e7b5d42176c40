/* Draws the charts in the page's own colours, anew when these change: by the reader's choice, and for print. */
(function () {
  "use strict";
  const root = document.documentElement;
  // A4 within its margins, at the 96 pixels to the inch that browsers print by.
  const PRINTED_WIDTH = 680;
  const boxes = Array.from(document.querySelectorAll(".plot"));
  const config = { displayModeBar: false, responsive: true, showTips: false, showLink: false };

  function shade(name) {
    return getComputedStyle(root).getPropertyValue("--" + name).trim();
  }

  function coloured(trace) {
    const made = Object.assign({}, trace);
    const colour = shade("tone-" + trace.meta.tone);
    if (trace.type === "bar") {
      made.marker = { color: colour, line: { color: shade("page"), width: 0.5 } };
    } else {
      made.line = Object.assign({ color: colour }, trace.line);
    }
    return made;
  }

  function axis(given, width) {
    return Object.assign({}, given, {
      fixedrange: true, automargin: true, gridcolor: shade("rule"), linecolor: shade("rule"),
      zerolinecolor: shade("rule"), nticks: width < 500 ? 5 : 10,
    });
  }

  function draw(box) {
    const spec = JSON.parse(document.getElementById(box.id + "-data").textContent);
    const width = root.classList.contains("printed") ? PRINTED_WIDTH : box.clientWidth;
    const layout = Object.assign({}, spec.layout, {
      width: root.classList.contains("printed") ? PRINTED_WIDTH : undefined,
      autosize: true, dragmode: false, hovermode: "closest", showlegend: spec.traces.length > 1,
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { color: shade("text"), size: 12, family: "system-ui, sans-serif" },
      margin: { l: 8, r: 8, t: 8, b: 8 },
      legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0 },
      xaxis: axis(spec.layout.xaxis, width), yaxis: axis(spec.layout.yaxis, width),
      hoverlabel: { bgcolor: shade("panel"), bordercolor: shade("rule"), font: { color: shade("text") } },
    });
    window.Plotly.react(box, spec.traces.map(coloured), layout, config);
  }

  function drawAll() {
    boxes.forEach(draw);
  }

  function print(isPrinted) {
    root.classList.toggle("printed", isPrinted);
    drawAll();
  }

  drawAll();
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  window.addEventListener("beforeprint", () => print(true));
  window.addEventListener("afterprint", () => print(false));
})();
