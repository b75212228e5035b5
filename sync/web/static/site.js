// What every page does beyond links and forms: ask before what cannot be undone, print, close an open menu.
const DOUBLE_MS = 500; // what follows a tap at once is part of it, a key held down as well

addEventListener("submit", (event) => {
  const button = event.submitter;
  if (!button?.dataset.sure || (button.dataset.armed && !button.ariaDisabled)) return;
  event.preventDefault();
  clearTimeout(Number(button.dataset.armed));
  const ready = () => button.removeAttribute("aria-disabled");
  const again = Boolean(button.dataset.armed);
  button.dataset.armed = String(setTimeout(ready, DOUBLE_MS));
  if (again) return;
  const before = [...button.childNodes]; // a part of it may be for screen readers alone
  button.setAttribute("aria-disabled", "true");
  button.textContent = button.dataset.sure;
  button.classList.add("sure");
  button.addEventListener("blur", () => {
    clearTimeout(Number(button.dataset.armed));
    ready();
    delete button.dataset.armed;
    button.replaceChildren(...before);
    button.classList.remove("sure");
  }, { once: true });
  button.focus();
});
addEventListener("keydown", (event) => { if (event.repeat && event.key === "Enter" && event.target.dataset?.sure) event.preventDefault(); });
addEventListener("click", (event) => {
  if (event.target.closest("[data-print]")) print();
  for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
});
addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});
// The first field that is wrong, or the first of a new form.
document.querySelector("[aria-invalid=true], [data-first]")?.focus();
