// On every page: times in the reader's zone, the colour switch, live parts, ticks of whole lists.

const relative = new Intl.RelativeTimeFormat(undefined, { numeric: "always", style: "narrow" });
const absolute = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
// For tables by time: a day is the server's, so it is shown as that.
const shapes = {
  day: new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeZone: "UTC" }),
  hour: new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" }),
};
const steps = [
  ["second", 60],
  ["minute", 60],
  ["hour", 24],
  ["day", 30.4],
  ["month", 12],
  ["year", Infinity],
];

function ago(moment) {
  let value = (moment - Date.now()) / 1000;
  if (Math.abs(value) < 10) return "now";
  for (const [unit, size] of steps) {
    // As the server's sentences count: an hour is one that has passed.
    if (Math.abs(value) < size) return relative.format(Math.trunc(value), unit);
    value /= size;
  }
  return "";
}

function showTimes(root = document) {
  for (const element of root.querySelectorAll("time[datetime]")) {
    const moment = new Date(element.dateTime);
    const style = element.dataset.absolute;
    element.textContent = style ? shapes[style].format(moment) : ago(moment);
    element.title = absolute.format(moment);
  }
}

function colourSwitch() {
  const form = document.querySelector("[data-theme-form]");
  if (!form) return;
  const root = document.documentElement;
  const isDark = () => {
    const systemDark = matchMedia("(prefers-color-scheme: dark)").matches;
    return root.dataset.theme ? root.dataset.theme === "dark" : systemDark;
  };
  const show = () => {
    const label = isDark() ? "Light colours" : "Dark colours";
    form.querySelector("[data-theme-label]").textContent = label;
  };
  show();
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const chosen = isDark() ? "light" : "dark";
    root.dataset.theme = chosen;
    show();
    const data = new FormData(form);
    data.set("theme", chosen);
    await fetch(form.action, { method: "POST", body: new URLSearchParams(data) });
  });
}

// <div data-live="/address" data-every="5">: its content is fetched anew while it can be seen. What
// takes the server long is asked for less often.
function liveParts() {
  for (const element of document.querySelectorAll("[data-live]")) {
    const every = Number(element.dataset.every || 5) * 1000;
    let last = "";
    const refresh = async () => {
      const begun = Date.now();
      if (!document.hidden) {
        const answer = await fetch(element.dataset.live, {
          headers: { "X-Requested-With": "fetch" },
        }).catch(() => null);
        if (answer?.status === 401) return;
        const html = answer?.ok ? await answer.text() : last;
        // Nobody who tabs through the part loses their place.
        if (html !== last && !element.contains(document.activeElement)) {
          last = html;
          // What the reader has opened stays open.
          const open = [...element.querySelectorAll("details[open][id]")].map((each) => each.id);
          element.innerHTML = html;
          for (const id of open) document.getElementById(id)?.setAttribute("open", "");
          showTimes(element);
        }
      }
      setTimeout(refresh, Math.max(every, 20 * (Date.now() - begun)));
    };
    setTimeout(refresh, every);
  }
}

// A tick in the head of a table ticks its rows; a bar below says how many and shows itself. Where
// the whole result is picked, single rows say nothing any more.
function tickLists() {
  for (const form of document.querySelectorAll("form[data-ticks]")) {
    const rows = () => [...form.querySelectorAll(`input[name="${form.dataset.ticks}"]`)];
    // A filter hides rows: "all" is all that somebody sees.
    const seen = () => rows().filter((row) => !row.closest("[hidden]"));
    const all = form.querySelector("[data-tick-all]");
    const bar = form.querySelector("[data-tick-bar]");
    const whole = form.querySelector("[data-tick-whole]");
    const said = form.querySelector("[data-tick-said]");
    const update = () => {
      const ticked = rows().filter((row) => row.checked).length;
      for (const box of [...rows(), all]) if (box && whole) box.disabled = whole.checked;
      if (said) {
        said.textContent = whole?.checked ? `All ${whole.dataset.tickWhole}` : `${ticked} ticked`;
      }
      if (all) {
        all.checked = ticked > 0 && ticked === seen().length;
        all.indeterminate = ticked > 0 && ticked < seen().length;
      }
      for (const place of form.querySelectorAll("[data-tick-count]")) {
        place.textContent = String(ticked);
      }
      if (bar) bar.hidden = ticked === 0 && !whole?.checked;
    };
    all?.addEventListener("change", () => {
      for (const row of seen()) row.checked = all.checked;
      update();
    });
    form.addEventListener("change", update);
    form.addEventListener("input", (event) => {
      if ("filter" in event.target.dataset) update();
    });
    update();
  }
}

// <input data-filter>: of the list in its card, only what has the words in its data-text, and what is
// ticked, is shown.
function filters() {
  for (const box of document.querySelectorAll("[data-filter]")) {
    box.hidden = false;
    box.addEventListener("keydown", (event) => {
      if (event.key === "Enter") event.preventDefault(); // it filters already
    });
    box.addEventListener("input", () => {
      const wanted = box.value.trim().toLowerCase();
      for (const row of box.closest(".card").querySelectorAll("[data-text]")) {
        const ticked = row.querySelector("input")?.checked;
        row.hidden = !ticked && !row.dataset.text.includes(wanted);
      }
    });
  }
}

// <select data-submit>: choosing is enough.
function choosing() {
  for (const element of document.querySelectorAll("[data-submit]")) {
    element.addEventListener("change", () => element.form.requestSubmit());
  }
}

// A form is sent once, however often its button is pressed.
function sendOnce() {
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (event.defaultPrevented || form.method !== "post") return;
    if (form.dataset.sent) {
      event.preventDefault();
      return;
    }
    form.dataset.sent = "yes";
  });
  addEventListener("pageshow", () => {
    for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
  });
}

// After a refused form the reader begins where something is wrong.
document.querySelector("main [aria-invalid]")?.focus();

showTimes();
setInterval(showTimes, 30_000);
colourSwitch();
liveParts();
tickLists();
filters();
choosing();
sendOnce();
