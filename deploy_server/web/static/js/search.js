// The search box completes what is being written; the criteria builder writes into it. Without this
// script the box is a box, and the builder is a form.

const WAIT_MS = 120;
let boxes = 0;

class Completer {
  constructor(input) {
    this.input = input;
    this.list = document.createElement("ul");
    this.list.id = `suggestions-${(boxes += 1)}`;
    this.list.className = "suggestions";
    this.list.setAttribute("role", "listbox");
    this.list.setAttribute("aria-label", "What may stand here");
    this.list.hidden = true;
    input.closest(".box").append(this.list);
    input.type = "text"; // a combobox is no kind of search field
    input.setAttribute("role", "combobox");
    input.setAttribute("aria-autocomplete", "list");
    input.setAttribute("aria-expanded", "false");
    input.setAttribute("aria-controls", this.list.id);
    this.active = -1;
    this.asked = 0;
    input.addEventListener("input", () => this.soon());
    input.addEventListener("click", () => this.soon());
    input.addEventListener("keydown", (event) => this.key(event));
    input.addEventListener("blur", () => this.close());
  }

  soon() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.ask(), WAIT_MS);
  }

  async ask() {
    const number = (this.asked += 1);
    const at = this.input.selectionStart;
    const where = new URLSearchParams({ q: this.input.value, at: String(at) });
    const answer = await fetch(`${this.input.dataset.complete}?${where}`, {
      headers: { "X-Requested-With": "fetch", Accept: "application/json" },
    }).catch(() => null);
    if (!answer?.ok || number !== this.asked || document.activeElement !== this.input) return;
    const found = await answer.json();
    this.show(found.suggestions, found.start, at);
  }

  show(suggestions, start, at) {
    const typed = this.input.value.slice(start, at);
    this.found = suggestions.filter((each) => each.text.trim() !== typed.trim());
    this.place = [start, at];
    this.list.replaceChildren(...this.found.map((each, index) => this.option(each, index)));
    this.open(this.found.length > 0);
  }

  option(suggestion, index) {
    const item = document.createElement("li");
    item.id = `${this.list.id}-${index}`;
    item.setAttribute("role", "option");
    item.setAttribute("aria-selected", "false");
    const label = document.createElement("span");
    label.className = "mono foreign";
    label.textContent = suggestion.label;
    const note = document.createElement("span");
    note.className = "muted";
    note.textContent = suggestion.note;
    item.append(label, " ", note);
    item.addEventListener("pointerdown", (event) => {
      event.preventDefault(); // the box keeps the focus
      this.take(index);
    });
    return item;
  }

  open(shown) {
    this.list.hidden = !shown;
    this.input.setAttribute("aria-expanded", String(shown));
    this.mark(-1);
  }

  close() {
    clearTimeout(this.timer);
    this.asked += 1;
    this.open(false);
  }

  mark(index) {
    this.active = index;
    [...this.list.children].forEach((item, place) => {
      item.setAttribute("aria-selected", String(place === index));
      if (place === index) item.scrollIntoView({ block: "nearest" });
    });
    if (index < 0) this.input.removeAttribute("aria-activedescendant");
    else this.input.setAttribute("aria-activedescendant", `${this.list.id}-${index}`);
  }

  take(index) {
    const [start, at] = this.place;
    const { value } = this.input;
    const text = this.found[index].text;
    const rest = text.endsWith(" ") ? value.slice(at).replace(/^ /, "") : value.slice(at);
    this.input.value = value.slice(0, start) + text + rest;
    this.input.setSelectionRange(start + text.length, start + text.length);
    this.open(false);
    this.input.dispatchEvent(new Event("input", { bubbles: true }));
  }

  key(event) {
    if (this.list.hidden) {
      if (event.key === "ArrowDown") this.ask();
      return;
    }
    const last = this.found.length - 1;
    if (event.key === "ArrowDown") this.mark(this.active === last ? 0 : this.active + 1);
    else if (event.key === "ArrowUp") this.mark(this.active <= 0 ? last : this.active - 1);
    else if (event.key === "Escape") this.close();
    else if (event.key === "Enter" && this.active >= 0) this.take(this.active);
    else if (event.key === "Tab" && this.active >= 0) this.take(this.active);
    else return;
    event.preventDefault();
  }
}

function criteria(details) {
  const form = details.querySelector("form");
  const rows = form.querySelector("[data-criterions]");
  const problem = form.querySelector("[data-criteria-problem]");
  const box = document.querySelector("[data-complete]");
  const add = form.querySelector("[data-criteria-add]");
  let timer = null;
  let asked = 0;

  const fit = (row) => {
    const field = row.querySelector("[name=field]").selectedOptions[0];
    const operator = row.querySelector("[name=operator]");
    const takes = field.dataset.takes?.split("|");
    for (const option of operator.options) option.hidden = takes && !takes.includes(option.value);
    if (takes && !takes.includes(operator.value)) operator.value = takes[0];
    const of = row.querySelector("[name=of]");
    of.hidden = (field.dataset.of ?? "NEVER") === "NEVER";
    if (of.hidden) of.value = "";
    row.querySelector("[name=value]").hidden = operator.value.startsWith("is ");
  };

  const write = async () => {
    const number = (asked += 1);
    const answer = await fetch(`${form.action}?${new URLSearchParams(new FormData(form))}`, {
      headers: { "X-Requested-With": "fetch", Accept: "application/json" },
    }).catch(() => null);
    if (!answer || number !== asked) return;
    const said = await answer.json();
    problem.textContent = answer.ok ? "" : [said.message, said.hint].filter(Boolean).join(". ");
    if (answer.ok && box) box.value = said.expression;
  };

  form.addEventListener("input", (event) => {
    const row = event.target.closest(".criterion");
    if (row) fit(row);
    clearTimeout(timer);
    timer = setTimeout(write, 250);
  });
  add.hidden = false;
  add.addEventListener("click", () => {
    const row = rows.lastElementChild.cloneNode(true);
    for (const input of row.querySelectorAll("input")) input.value = "";
    row.querySelector("[name=field]").value = "";
    row.setAttribute("aria-label", `Condition ${rows.children.length + 1}`);
    rows.append(row);
    fit(row);
    row.querySelector("select").focus();
  });
  for (const row of rows.children) fit(row);
}

for (const input of document.querySelectorAll("input[data-complete]")) new Completer(input);
for (const details of document.querySelectorAll("[data-criteria]")) criteria(details);
