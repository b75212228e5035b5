// The box's live stream (/api/events), for the page and for the displays: opened anew where it was refused or fell silent.
const RETRY_MS = 2000; // refused, not broken: the browser itself would not try again

// How long ago: two clocks, since one is set by hand and the other stands still while a phone sleeps.
export function stopwatch() {
  const ticks = performance.now(), time = Date.now();
  return () => Math.max(performance.now() - ticks, Date.now() - time);
}

// `address()`: where to listen, asked at each opening. `silentMs` without a word: lost, whatever the connection looks like.
// `stillMs`: one that spoke and stood still for so long is given up, since it would hand over what was as if it were now.
// Calls `status` and `seen` with what came, `alive` at each word of the box, `lost` at each silence. Returns what opens it anew.
export function follow({ address, silentMs, stillMs, lookMs, status, seen, alive, lost }) {
  let source = null, silent = stopwatch(), opened = silent, heard = null;

  function open() {
    source?.close(); // what still lies in the old one's pipe is never read
    const own = new EventSource(address());
    const on = (name, take) => own.addEventListener(name, (event) => {
      if (heard && heard() > stillMs) { open(); return; }
      silent = heard = stopwatch();
      alive();
      take(event);
    });
    source = own;
    opened = stopwatch();
    heard = null;
    on("status", (event) => status(JSON.parse(event.data)));
    on("seen", (event) => seen(JSON.parse(event.data)));
    on("beat", () => {});
    own.addEventListener("error", () => {
      if (source !== own) return;
      lost();
      if (own.readyState === EventSource.CLOSED) setTimeout(() => { if (source === own) open(); }, RETRY_MS);
      else [opened, heard] = [stopwatch(), null]; // the browser itself opens it anew
    });
  }

  setInterval(() => {
    if (silent() > silentMs) lost();
    if (heard ? heard() > stillMs : opened() > silentMs) open();
  }, lookMs);
  open();
  return open;
}
