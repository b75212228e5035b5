// What every page does beyond links and forms: ask before what cannot be undone, print, close an open menu.
addEventListener("submit", (event) => {
  const button = event.submitter;
  if (!button?.dataset.sure || button.dataset.armed) return;
  event.preventDefault();
  const before = [...button.childNodes]; // a part of it may be for screen readers alone
  button.dataset.armed = "1";
  button.textContent = button.dataset.sure;
  button.classList.add("sure");
  button.addEventListener("blur", () => {
    delete button.dataset.armed;
    button.replaceChildren(...before);
    button.classList.remove("sure");
  }, { once: true });
  button.focus();
});
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
