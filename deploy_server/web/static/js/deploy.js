// The deploy page: the preview follows what is chosen; without this script a button shows it.

const form = document.querySelector("form[data-preview]");
if (form) {
  const place = form.querySelector("[data-preview-place]");
  const token = document.querySelector('meta[name="csrf-token"]').content;
  let timer = null; // until who gets it is asked
  let later = null; // until what is wrong is shown
  let asked = 0;

  const hideButton = () => {
    place.querySelector("[data-preview-button]").hidden = true;
  };

  // What is on the screen, and what is on its way, is no longer what would be assigned.
  const outdate = () => {
    for (const button of place.querySelectorAll('[value="assign"]')) button.disabled = true;
    clearTimeout(timer);
    clearTimeout(later);
    asked += 1;
  };

  const show = async () => {
    outdate();
    const number = asked;
    place.setAttribute("aria-busy", "true");
    const answer = await fetch(form.dataset.preview, {
      method: "POST",
      headers: { "X-CSRFToken": token, "X-Requested-With": "fetch" },
      body: new URLSearchParams(new FormData(form)),
    }).catch(() => null);
    const html = answer?.ok ? await answer.text().catch(() => null) : null;
    if (number !== asked) return;
    if (html === null) return fail();
    const shown = document.createElement("div");
    shown.innerHTML = html;
    // Half a word is no mistake yet: what is wrong with it can wait until the typing stops.
    const typing = document.activeElement === form.elements.q;
    const wrong = shown.querySelector(".message.error");
    if (typing && wrong) later = setTimeout(() => put(shown), 1500);
    else put(shown);
  };

  const put = (shown) => {
    place.removeAttribute("aria-busy");
    place.replaceChildren(...shown.childNodes);
    hideButton();
  };

  const fail = () => {
    place.removeAttribute("aria-busy");
    const said = document.createElement("p");
    said.className = "problem";
    said.setAttribute("role", "alert");
    said.textContent = "The server did not say who gets it. Change something, or press Enter, to ask again.";
    place.replaceChildren(said);
  };

  const soon = () => {
    outdate();
    timer = setTimeout(show, 350);
  };

  const choose = (target) => {
    const radio = form.querySelector(`input[name="target"][value="${target}"]`);
    if (radio) radio.checked = true;
  };

  form.addEventListener("input", (event) => {
    if (event.target.name === "q") choose("search");
    if (event.target.name === "group") choose("group");
    if ("filter" in event.target.dataset) return;
    soon();
  });
  for (const chip of form.querySelectorAll("[data-expression]")) {
    chip.addEventListener("click", () => {
      form.elements.q.value = chip.dataset.expression;
      choose("search");
      soon();
    });
  }
  form.addEventListener("submit", (event) => {
    if (event.submitter?.value === "assign") return;
    event.preventDefault(); // Enter in a field: who gets it is shown here
    show();
  });
  hideButton();
}
