// The build page: the file goes ahead in pieces and goes on after a dropped connection; the summary
// follows what is typed. Without this script the form sends everything at once and works as well.

const form = document.querySelector("form.build");
const token = document.querySelector('meta[name="csrf-token"]').content;
const headers = { "X-CSRFToken": token, "X-Requested-With": "fetch" };
const MIB = 1024 * 1024;
const PIECE = 8 * MIB; // at once; less where the line breaks

const place = form.querySelector("[data-summary-place]");
const stateBox = form.querySelector("[data-upload-state]");
const stateName = form.querySelector("[data-upload-name]");
const stateText = form.querySelector("[data-upload-text]");
const bar = stateBox.querySelector("progress");
const input = form.querySelector("#file");
const drop = form.querySelector("[data-drop]");
const buildState = form.querySelector("[data-build-state]");
const hidden = form.elements.upload;

let chosen = null; // the file that is on its way or here
let sending = null; // its promise
let current = null; // the request that carries a piece

function bytes(size) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (size >= 1024 && unit < units.length - 1) {
    size /= 1024;
    unit += 1;
  }
  return `${unit && size < 100 ? size.toFixed(1) : Math.round(size)} ${units[unit]}`;
}

// Uploading

async function answerOf(response) {
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw Object.assign(new Error(body.message || response.statusText), { body });
  return body;
}

// What lies on the server's disk is compared with this: the bytes from `start` to `end`.
async function digestOf(file, start, end) {
  const bytesOf = await file.slice(start, end).arrayBuffer();
  const digest = await crypto.subtle.digest("SHA-256", bytesOf);
  const hex = [...new Uint8Array(digest)].map((each) => each.toString(16).padStart(2, "0"));
  return `from=${start}; sha-256=${hex.join("")}`;
}

function putPiece(url, file, offset, end, digest, report) {
  return new Promise((resolve, reject) => {
    current = new XMLHttpRequest();
    current.open("PUT", url);
    for (const [name, value] of Object.entries(headers)) current.setRequestHeader(name, value);
    current.setRequestHeader("Content-Type", "application/octet-stream");
    current.setRequestHeader("Upload-Offset", String(offset));
    current.setRequestHeader("Upload-Digest", digest);
    current.upload.onprogress = (event) => report(offset + event.loaded);
    current.onload = () => {
      let body = {};
      try {
        body = JSON.parse(current.responseText);
      } catch {
        // Something on the way answered, not the server.
      }
      if (current.status < 300) resolve(body.offset);
      else reject(Object.assign(new Error(body.message || "no answer"), { body, status: current.status }));
    };
    current.onerror = () => reject(new Error("connection"));
    current.onabort = () => reject(Object.assign(new Error("removed"), { removed: true }));
    current.send(file.slice(offset, end));
  });
}

const wait = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

async function offsetNow(url) {
  return (await answerOf(await fetch(url, { headers }))).offset;
}

// A page that was closed in the middle: the same file, chosen again, goes on where it stopped.
async function begin(file, place) {
  const known = localStorage.getItem(place);
  if (known) {
    const answer = await fetch(known, { headers }).catch(() => null);
    if (answer?.ok) return answer.json();
  }
  const data = new URLSearchParams({ name: file.name, length: String(file.size) });
  const begun = await answerOf(
    await fetch(form.dataset.uploads, { method: "POST", headers, body: data }),
  );
  localStorage.setItem(place, begun.url);
  return begun;
}

async function send(file) {
  const place = `upload ${file.size} ${file.lastModified} ${file.name}`;
  const begun = await begin(file, place);
  let offset = begun.offset;
  // What lies there is what was sent, up to here.
  let compared = offset - (offset % MIB);
  let piece = PIECE;
  let failures = 0;
  const started = Date.now();
  const report = (done) => showProgress(file, done, started);
  while (compared < file.size) {
    if (chosen !== file) return;
    try {
      const end = Math.min(Math.max(compared + piece, offset), file.size);
      const digest = await digestOf(file, compared, end);
      if (chosen !== file) return;
      offset = await putPiece(begun.url, file, offset, end, digest, report);
      compared = offset;
      failures = 0;
      piece = Math.min(PIECE, 2 * piece);
    } catch (error) {
      if (error.removed) return;
      if (error.status >= 400 && error.status < 500 && error.status !== 409) throw error;
      failures += 1;
      piece = Math.max(MIB, piece / 2);
      const seconds = Math.min(30, 2 ** failures);
      stateText.textContent = `interrupted at ${bytes(offset)}; going on in ${seconds} s`;
      await wait(seconds);
      offset = await offsetNow(begun.url).catch(() => offset);
      compared = Math.min(compared, offset);
    }
  }
  if (chosen !== file) return;
  localStorage.removeItem(place);
  hidden.value = begun.id;
  bar.value = 100;
  stateText.textContent = `${bytes(file.size)}, is here and compared with your file`;
}

function showProgress(file, done, started) {
  bar.value = file.size ? (100 * done) / file.size : 100;
  const speed = done / Math.max(1, (Date.now() - started) / 1000);
  stateText.textContent = `${bytes(done)} of ${bytes(file.size)}, ${bytes(speed)}/s`;
}

function choose(file) {
  remove();
  if (!file) return;
  chosen = file;
  stateBox.hidden = false;
  stateName.textContent = file.name;
  stateText.textContent = bytes(file.size);
  bar.value = 0;
  input.value = "";
  const limit = Number(form.dataset.max);
  if (file.size > limit) {
    stateText.textContent = `has ${bytes(file.size)}; at most ${bytes(limit)} are allowed`;
    chosen = null;
    return;
  }
  sending = send(file)
    .catch((error) => {
      chosen = null;
      const hint = error.body?.hint ? ` ${error.body.hint}.` : "";
      stateText.textContent = `was not taken: ${error.message}.${hint}`;
    })
    .finally(() => {
      sending = null;
      refresh();
    });
  refresh();
}

function remove() {
  chosen = null;
  hidden.value = "";
  current?.abort();
  stateBox.hidden = true;
}

input.addEventListener("change", () => choose(input.files[0]));
const cancel = form.querySelector("[data-upload-cancel]");
cancel.hidden = false;
cancel.addEventListener("click", () => {
  remove();
  refresh();
  input.focus();
});
for (const kind of ["dragenter", "dragover"]) {
  drop.addEventListener(kind, (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
}
for (const kind of ["dragleave", "drop"]) {
  drop.addEventListener(kind, () => drop.classList.remove("over"));
}
drop.addEventListener("drop", (event) => {
  event.preventDefault();
  choose(event.dataTransfer.files[0]);
});

// The summary

let timer = null;
let asked = 0;

function formData() {
  const data = new FormData(form);
  data.delete("file");
  if (chosen) data.set("size", String(chosen.size));
  return new URLSearchParams(data);
}

function sizeOf(text) {
  const found = /^\s*([0-9.]+)\s*([a-z]*)\s*$/i.exec(text);
  const units = { "": 1, b: 1, k: 1024, kib: 1024, kb: 1000, m: MIB, mib: MIB, mb: 1e6 };
  Object.assign(units, { g: 1024 * MIB, gib: 1024 * MIB, gb: 1e9 });
  return found ? Number(found[1]) * (units[found[2].toLowerCase()] ?? NaN) : NaN;
}

function countNow() {
  const line = form.querySelector("[data-count]");
  const size = sizeOf(form.elements.fragment_size.value);
  const bySize = form.querySelector("#cut-size").checked;
  const count = bySize ? Math.ceil((chosen?.size ?? NaN) / size) : NaN;
  line.textContent = Number.isFinite(count) ? `${count.toLocaleString()} fragments` : "";
}

async function fetchSummary() {
  const number = (asked += 1);
  const answer = await fetch(form.dataset.summary, {
    method: "POST",
    headers,
    body: formData(),
  }).catch(() => null);
  if (answer?.ok && number === asked) place.innerHTML = await answer.text();
}

function refresh() {
  countNow();
  clearTimeout(timer);
  timer = setTimeout(fetchSummary, 300);
}

form.addEventListener("input", refresh);
form.querySelector("[data-check]").hidden = true;
for (const radio of form.elements.cut) {
  radio.addEventListener("change", () => {
    const field = form.elements[radio.value === "count" ? "fragments" : "fragment_size"];
    if (radio.checked) field.focus();
  });
}

// Building: how far it is while the answer is waited for.

async function showBuilding() {
  if (!hidden.value) return;
  const url = `${form.dataset.uploads}/${hidden.value}/built`;
  for (;;) {
    await wait(1);
    const answer = await fetch(url, { headers }).catch(() => null);
    if (answer?.status === 204) return; // the package is built, and the file gone
    const state = answer?.status === 200 ? await answer.json() : null;
    if (state?.built) {
      bar.value = (100 * state.built) / state.length;
      buildState.textContent = `Building: ${bytes(state.built)} of ${bytes(state.length)} checked and cut`;
    }
  }
}

// Building waits for the file.

form.addEventListener("submit", async (event) => {
  const button = event.submitter;
  if (!sending) {
    buildState.textContent = "Building…";
    showBuilding();
    return;
  }
  event.preventDefault();
  event.stopImmediatePropagation();
  buildState.textContent = "Building begins when the file is here.";
  await sending;
  if (hidden.value) form.requestSubmit(button);
  else buildState.textContent = "";
});

if (form.elements.name.value) refresh();
