// Draws the arrivals from the table beside the chart, so that the two never differ, and says when the stream is lost.
const board = document.getElementById("board");
const lost = document.getElementById("lost");
const SILENT_MS = 150_000, LOOK_MS = 10_000; // the centre sends a board each minute
let plot = null, source = null, heard = 0;

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function read() {
  const at = [], entries = [], exits = [];
  for (const row of document.querySelectorAll("#arrivals tbody tr")) {
    at.push(Number(row.dataset.at));
    entries.push(Number(row.cells[1].textContent));
    exits.push(Number(row.cells[2].textContent));
  }
  return [at, entries, exits];
}

function draw() {
  const place = document.getElementById("chart");
  if (!place || typeof uPlot === "undefined") return;
  const data = read();
  if (plot && place.contains(plot.root)) return plot.setData(data);
  const clocks = new Map([...document.querySelectorAll("#arrivals tbody tr")].map((row) => [Number(row.dataset.at), row.cells[0].textContent]));
  plot?.destroy();
  const step = data[0].length > 1 ? data[0][1] - data[0][0] : 60;
  const axis = { stroke: colour("--quiet"), grid: { stroke: colour("--grid"), width: 1 }, ticks: { show: false }, font: "13px system-ui, sans-serif" };
  plot = new uPlot({
    width: place.clientWidth, height: innerWidth < 720 ? 180 : 240,
    legend: { show: false }, cursor: { show: false }, scales: { x: { time: false }, y: { range: (_, low, high) => [0, Math.max(5, high * 1.1)] } },
    axes: [
      { ...axis, space: 64, incrs: [60, 300, 900, 1800, 3600, 7200, 14400], grid: { show: false },
        values: (_, marks) => marks.map((mark) => time(clocks, mark)) },
      { ...axis, size: 42, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000] },
    ],
    series: [{},
      { stroke: colour("--series-1"), fill: colour("--series-1"), width: 0, points: { show: false }, paths: uPlot.paths.bars({ size: [.8, 60] }) },
      { stroke: colour("--series-2"), width: 2, points: { show: false }, paths: step > 60 ? undefined : uPlot.paths.stepped({ align: 1 }) }],
  }, data, place);
}

// The table's clock is the venue's, whatever the clock of whoever looks.
function time(clocks, mark) {
  const known = clocks.get(mark);
  if (known) return known;
  const row = document.querySelector("#arrivals tbody tr");
  if (!row) return "";
  const [hours, minutes] = row.cells[0].textContent.split(":").map(Number);
  const all = Math.round(hours * 60 + minutes + (mark - Number(row.dataset.at)) / 60);
  const day = ((all % 1440) + 1440) % 1440;
  return `${String(Math.floor(day / 60)).padStart(2, "0")}:${String(day % 60).padStart(2, "0")}`;
}

function anew() { plot?.destroy(); plot = null; draw(); }

let open = false;
board.addEventListener("htmx:beforeSwap", () => { open = Boolean(document.querySelector("details.asTable[open]")); });
board.addEventListener("htmx:sseBeforeMessage", () => { open = Boolean(document.querySelector("details.asTable[open]")); });
board.addEventListener("htmx:sseMessage", () => { heard = Date.now(); lost.hidden = true; if (open) document.querySelector("details.asTable").open = true; draw(); });
board.addEventListener("htmx:sseOpen", (event) => { source = event.detail.source; heard = Date.now(); lost.hidden = true; });
board.addEventListener("htmx:sseError", async () => {
  lost.hidden = false;
  // Whose session has ended is led to the sign-in page, and back from there.
  const answer = await fetch(location.href, { redirect: "manual" }).catch(() => null);
  if (answer?.type === "opaqueredirect") location.reload();
});
// A connection that died on its way ends nowhere here: it is ended, and htmx opens another.
setInterval(() => {
  if (source?.readyState !== EventSource.OPEN || Math.abs(Date.now() - heard) < SILENT_MS) return;
  source.close();
  source.onerror(new Event("error"));
  source = null;
}, LOOK_MS);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", anew);
addEventListener("resize", anew);
addEventListener("beforeprint", anew);
draw();
