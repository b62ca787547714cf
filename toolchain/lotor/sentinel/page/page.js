"use strict";
// The page is drawn from /api (docs/sentinel-page.md). All text gets in as text, never as HTML.

const MOST_ROWS = 300; // of a page that stays open for months
const LOOKING_AT_ONCE = 3; // a browser has six connections to a host
const SVG = "http://www.w3.org/2000/svg";

const by = (id) => document.getElementById(id);
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const percent = (share) => (share === null ? "–" : `${Math.round(100 * share)} %`);
const storage = {
  get: (key) => { try { return localStorage.getItem(key); } catch { return null; } },
  set: (key, value) => { try { localStorage.setItem(key, value); } catch { /* not kept then */ } },
};

/** Make an element: h("p.why", {title: "…"}, "text", child); what is null is left out. */
function h(what, attributes = {}, ...children) {
  const [name, ...classes] = what.split(".");
  const made = document.createElement(name);
  made.classList.add(...classes);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (key.startsWith("aria-")) made.setAttribute(key, value);
    else if (value !== null && value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== false));
  return made;
}

/** Set text only where it differs, so that nothing is drawn or read out again. */
function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

async function ask(path, body) {
  const options = body === undefined ? {} : {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Lotor": "1" },
    body: JSON.stringify(body),
  };
  let answer;
  try {
    answer = await fetch(path, { ...options, signal: AbortSignal.timeout(30000) });
  } catch {
    throw new Error("the sentinel does not answer");
  }
  const found = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(found.error || `the sentinel answered ${answer.status}`);
  return found;
}

// Times, by this browser's clock and zone.

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const clockSeconds = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const weekday = new Intl.DateTimeFormat("en", { weekday: "long", day: "numeric", month: "long" });

const timeOf = (seconds) => clock.format(new Date(1000 * seconds));
const exactTimeOf = (seconds) => clockSeconds.format(new Date(1000 * seconds));

function dayOf(seconds) {
  const day = new Date(1000 * seconds).toDateString();
  const before = new Date();
  if (day === before.toDateString()) return "Today";
  before.setDate(before.getDate() - 1);
  if (day === before.toDateString()) return "Yesterday";
  return weekday.format(new Date(1000 * seconds));
}

function lasting(seconds) {
  if (seconds < 0.95) return `${Math.max(0, seconds).toFixed(1)} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return `${Math.round(seconds / 3600)} h`;
}

// The state: who it is, armed, health, actions, counters.

let state = null;
let lost = false;
const notices = new Map();

async function loadState() {
  showState(await ask("api/state"));
}

function showState(found) {
  state = found;
  document.title = `${found.name} · sentinel`;
  say(by("name"), found.name);
  const { armed, by: who, time } = found.armed;
  say(by("armed"), armed ? "Armed" : "Disarmed");
  say(by("armed-by"), who ? `by ${who}, ${dayOf(time) === "Today" ? "" : `${dayOf(time)} `}${timeOf(time)}` : "since it began");
  by("arm").setAttribute("aria-checked", armed);
  by("arm").disabled = false;
  showCameras();
  showLabels();
  showActions();
  showHealth();
  by("counters").replaceChildren(...Object.entries(found.counters).flatMap(
    ([name, count]) => [h("dt.first", {}, name.replaceAll("_", " ")), h("dd", {}, count.toLocaleString())]));
  showEmpty();
  document.querySelector("main").hidden = false; // before that, what is below would jump
}

function showHealth() {
  const ill = state.health.filter((part) => !part.well);
  const blocked = ill.some((part) => part.blocks);
  say(by("status"), lost ? "Connection lost" : blocked ? "Nothing acts for now" : ill.length ? "Not all is well" : "All is well");
  by("health").replaceChildren(...state.health.map((part) => h(part.well ? "li" : "li.ill", {},
    h("span", {}, part.part), h("small", {}, part.well ? "well" : "not well"),
    !part.well && h("p", {}, part.text + (part.blocks ? " · nothing acts meanwhile" : "")))));
  for (const key of [...notices.keys()]) if (key.startsWith("ill ")) notices.delete(key);
  for (const part of ill) {
    notices.set(`ill ${part.part}`, `${part.part}: ${part.text}${part.blocks ? ". Nothing acts meanwhile." : ""}`);
  }
  showNotices();
}

function showNotices() {
  const shown = [...notices].slice(0, 4).map(([key, text]) => h(key === "said" ? "p.said" : "p", {}, text));
  const before = [...by("alerts").children].map((p) => p.textContent).join("\n");
  if (before !== shown.map((p) => p.textContent).join("\n")) by("alerts").replaceChildren(...shown);
}

function complain(key, error) {
  notices.set(key, error.message[0].toUpperCase() + error.message.slice(1));
  showNotices();
  setTimeout(() => { notices.delete(key); showNotices(); }, 10000);
}

by("arm").addEventListener("click", async () => {
  by("arm").disabled = true;
  try {
    showState(await ask("api/arm", { armed: !state.armed.armed }));
  } catch (error) {
    complain("arm", error);
  } finally {
    by("arm").disabled = false;
    by("arm").focus();
  }
});

let actionsShown = "";

function showActions() {
  const now = JSON.stringify(state.actions);
  by("actions-panel").hidden = !state.actions.length;
  if (now === actionsShown) return;
  actionsShown = now;
  by("actions").replaceChildren(...state.actions.map(actionTry));
}

function actionTry(action) {
  const said = h("p", { role: "status" });
  const button = h("button", { "aria-label": `Try ${action.name}` }, "Try");
  let sure = null;
  const calm = () => {
    clearTimeout(sure);
    sure = null;
    button.classList.remove("sure");
    say(button, "Try");
  };
  button.addEventListener("click", async () => {
    if (!action.dry_run && sure === null) { // it is loud, wet or bright
      button.classList.add("sure");
      say(button, "Really?");
      sure = setTimeout(calm, 4000);
      return;
    }
    calm();
    button.disabled = true;
    said.className = "";
    say(said, "…");
    try {
      const act = await ask(`api/test/${encodeURIComponent(action.name)}`, {});
      said.className = ["failed", "refused"].includes(act.result) ? "wrong" : "";
      say(said, [act.result, act.why].filter(Boolean).join(": "));
    } catch (error) {
      said.className = "wrong";
      say(said, error.message);
    } finally {
      button.disabled = false;
      button.focus();
    }
  });
  const does = action.dry_run ? "only says what it would do (dry run)" : `real, for ${lasting(action.for_s)} at most`;
  return h("div.try", {}, h("b", {}, action.name), h("small", {}, `${action.kind}: ${does}`), button, said);
}

// Cameras: a picture, and over it what is seen.

const cameras = new Map();
const onScreen = new IntersectionObserver((changes) => {
  for (const { target, isIntersecting } of changes) cameras.get(target.dataset.name).visible = isIntersecting;
});
let looking = 0;

function showCameras() {
  for (const found of state.cameras) {
    if (!cameras.has(found.name)) {
      const camera = new Camera(found);
      cameras.set(found.name, camera);
      by("cameras").append(camera.element);
      onScreen.observe(camera.element);
      camera.look();
    }
    cameras.get(found.name).know(found);
  }
}

class Camera {
  constructor(found) {
    this.found = found;
    this.number = null;
    this.visible = false;
    this.taken = null; // performance.now() at which the frame was taken
    this.canvas = h("canvas", { role: "img", "aria-label": `live picture of ${found.name}` });
    this.svg = document.createElementNS(SVG, "svg");
    this.svg.setAttribute("preserveAspectRatio", "none");
    this.svg.setAttribute("aria-hidden", "true");
    this.tags = h("div.tags");
    this.veto = h("p.veto", { hidden: true });
    this.veil = h("p.veil", {}, "Waiting for the first picture");
    this.view = h("div.view", {}, this.canvas, this.svg, this.tags, this.veto, this.veil);
    this.light = h("span");
    this.person = h("span");
    this.age = h("span.age");
    this.wrong = h("span.wrong", { hidden: true });
    this.element = h("article.camera", { "data-name": found.name, "aria-label": `camera ${found.name}` }, this.view,
      h("div.caption", {}, h("h3", {}, found.name), this.age, h("div.notes", {}, this.light, this.person),
        h("button", { onclick: toggleOutlines, title: "Boxes, zones and masks (o)" }, "outlines"), this.wrong));
  }

  know(found) {
    this.found = found;
    if (found.width && this.number === null) this.shape(found.width, found.height);
    if (found.age !== null && this.number === null) this.taken = performance.now() - 1000 * found.age;
  }

  shape(width, height) {
    const wanted = `${width} / ${height}`;
    if (this.shaped === wanted) return;
    this.shaped = wanted;
    this.view.style.aspectRatio = wanted;
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  }

  async look() {
    for (;;) {
      if (document.hidden || !this.visible || looking >= LOOKING_AT_ONCE) {
        await sleep(150);
        continue;
      }
      looking++;
      try {
        await this.next();
        this.failed = false;
      } catch {
        this.failed = true;
      } finally {
        looking--;
      }
      await sleep(this.failed ? 2000 : 0); // lets another camera have its turn
    }
  }

  async next() {
    const after = this.number === null ? "" : `?after=${this.number}`;
    const answer = await fetch(`api/cameras/${encodeURIComponent(this.found.name)}/picture${after}`,
      { signal: AbortSignal.timeout(15000), cache: "no-store" });
    if (answer.status === 204) return;
    if (!answer.ok) throw new Error(String(answer.status));
    const scene = JSON.parse(answer.headers.get("Lotor-Scene"));
    const image = await createImageBitmap(await answer.blob());
    this.taken = performance.now() - 1000 * scene.age;
    this.number = scene.number;
    this.shape(scene.width, scene.height);
    if (this.canvas.width !== image.width || this.canvas.height !== image.height) {
      this.canvas.width = image.width;
      this.canvas.height = image.height;
    }
    this.canvas.getContext("2d").drawImage(image, 0, 0);
    image.close();
    this.draw(scene);
    this.tick();
  }

  draw(scene) {
    const { width, height } = scene;
    const shapes = [], tags = [];
    const shape = (name, attributes, kind) => {
      const made = document.createElementNS(SVG, name);
      made.setAttribute("class", kind);
      for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
      shapes.push(made);
    };
    const polygon = (corners, kind) => shape("polygon", { points: corners.map(([x, y]) => `${x * width},${y * height}`).join(" ") }, kind);
    const box = ([x0, y0, x1, y1], kind) => shape("rect", { x: x0, y: y0, width: x1 - x0, height: y1 - y0, rx: 2 }, kind);
    const tag = (text, x, y, kind) => {
      const made = h("span", {}, text);
      made.className = kind;
      made.style.left = `${100 * Math.min(Math.max(0, x / width), 0.85)}%`;
      made.style.top = `${100 * y / height}%`;
      tags.push(made);
    };
    for (const mask of this.found.masks) polygon(mask, "mask");
    for (const zone of this.found.zones) {
      polygon(zone.polygon, "zone");
      const [x, y] = zone.polygon.reduce((best, corner) => (corner[1] - corner[0] > best[1] - best[0] ? corner : best));
      tag(zone.name, x * width, y * height, "name"); // at its lower left; tracks are named above
    }
    for (const moving of scene.moving) box(moving, "moving");
    for (const track of scene.tracks) {
      const kind = track.label === null ? " lost" : track.label === "unknown" ? " unsure" : "";
      box(track.box, `track${kind}`);
      const inside = track.box[1] < 0.07 * height ? "inside" : "";
      if (track.label !== null) tag(`${track.label} ${percent(track.score)}`, track.box[0], track.box[1], `${inside}${kind}`);
    }
    this.svg.replaceChildren(...shapes);
    this.tags.replaceChildren(...tags);
    const { state: seen, score, threshold, model } = scene.person;
    this.veto.hidden = seen !== "there" && seen !== "failed";
    say(this.veto, seen === "failed" ? `The model ${model} failed: nothing acts`
      : `Person ${percent(score)}: nothing acts (from ${percent(threshold)} on)`);
    say(this.person, seen === "clear" ? `person ${percent(score)}` : seen === "none" ? "no watch for people" : "");
    say(this.light, scene.light);
    this.wrong.hidden = !scene.errors.length;
    say(this.wrong, scene.errors.join(" · "));
  }

  tick() {
    const age = this.taken === null ? null : Math.max(0, (performance.now() - this.taken) / 1000);
    const old = age === null || age > Math.max(10, 3 / (this.found.rate || 1));
    say(this.age, age === null ? "" : `${lasting(age)} ago`);
    this.view.classList.toggle("old", old);
    this.veil.hidden = !old && this.number !== null;
    if (age === null) say(this.veil, "Waiting for the first picture");
    else if (old) say(this.veil, `No new picture for ${lasting(age)}`);
  }
}

function toggleOutlines() {
  document.body.classList.toggle("plain");
  storage.set("lotor.plain", document.body.classList.contains("plain") ? "1" : "");
}

// Events: the list.

const events = new Map(); // id -> event, in no order
const rows = new Map(); // id -> Row
let label = ""; // show only this one
let more = false;
let loaded = false;

const wanted = (event) => !label || event.label === label;
const newestFirst = () => [...events.keys()].sort().reverse();

async function loadEvents(before) {
  const asked = label;
  const query = new URLSearchParams({ limit: 30, ...(before && { before }), ...(asked && { label: asked }) });
  const found = await ask(`api/events?${query}`);
  if (asked !== label) return; // another one was chosen meanwhile
  const gap = !before && found.more && !found.events.some((event) => events.has(event.id));
  if (gap || (!before && !found.more)) events.clear();
  if (before || gap || !loaded || !found.more) more = found.more;
  for (const event of found.events) events.set(event.id, event);
  loaded = true;
  showEvents();
}

function takeEvent(event) {
  if (wanted(event)) events.set(event.id, event);
  else events.delete(event.id);
  if (events.size > MOST_ROWS) {
    for (const id of newestFirst().slice(MOST_ROWS)) events.delete(id);
    more = true;
  }
  showEvents();
  if (event.id === opened) refreshEvent();
}

function showEvents() {
  const nodes = [];
  let day = null;
  for (const id of newestFirst()) {
    const event = events.get(id);
    if (dayOf(event.begin) !== day) nodes.push(heading(day = dayOf(event.begin)));
    if (!rows.has(id)) rows.set(id, new Row(id));
    rows.get(id).show(event);
    nodes.push(rows.get(id).element);
  }
  for (const id of [...rows.keys()]) if (!events.has(id)) rows.delete(id);
  const list = by("list");
  if (nodes.length !== list.children.length || nodes.some((node, at) => node !== list.children[at])) {
    const focused = document.activeElement;
    list.replaceChildren(...nodes);
    if (list.contains(focused)) focused.focus({ preventScroll: true });
  }
  by("older").hidden = !more || events.size >= MOST_ROWS;
  showEmpty();
}

const headings = new Map();

function heading(day) {
  if (!headings.has(day)) {
    if (headings.size > 400) headings.clear();
    headings.set(day, h("h3.day", {}, day));
  }
  return headings.get(day);
}

class Row {
  constructor(id) {
    this.thumb = h("div.thumb", {}, "no picture");
    this.label = h("strong.first");
    this.score = h("span");
    this.time = h("span");
    this.where = h("p.where");
    this.done = h("div.done");
    this.element = h("button.row", { "data-id": id, onclick: () => openEvent(id) }, this.thumb,
      h("div", {}, h("div.line", {}, this.label, this.score, this.time), this.where, this.done));
  }

  show(event) {
    say(this.label, event.label);
    say(this.score, percent(event.score));
    say(this.time, timeOf(event.begin));
    const spent = event.end === null ? null : lasting(event.end - event.begin);
    say(this.where, [event.camera, event.light, ...event.zones, spent].filter(Boolean).join(" · "));
    const chips = JSON.stringify([event.actions, event.end === null]);
    if (this.chips !== chips) {
      this.chips = chips;
      this.done.replaceChildren(...[event.end === null && h("span.chip.now", {}, "now"),
        ...event.actions.map((name) => h("span.chip.acted", {}, name)),
        !event.actions.length && h("span.chip", {}, "only watched")].filter(Boolean));
    }
    const address = pictureOf(event);
    if (this.address !== address) {
      this.address = address;
      const image = address && h("img", { src: address, alt: "", loading: "lazy", onerror: () => this.thumb.replaceChildren("no picture") });
      this.thumb.replaceChildren(image || "no picture");
    }
  }
}

/** The best picture gets better while the event lasts; its address tells the browser so. */
const pictureOf = (event) => event.picture && `${event.picture}?v=${event.end ?? event.score}`;

function showEmpty() {
  const empty = loaded && !events.size;
  by("empty").hidden = !empty;
  if (!empty || !state) return;
  const ill = state.health.filter((part) => !part.well && part.part.startsWith("camera"));
  const many = state.cameras.length > 1;
  const well = ill.length ? `, and ${ill[0].part} is not well: ${ill[0].text}.` : many ? "; the cameras are well." : "; the camera is well.";
  say(by("empty"), label ? `No ${label} yet.`
    : `Nothing seen yet${well} The first visit shows up here, with its picture and the reasons for what was done.`);
}

let labelsShown = "";

function showLabels() {
  const now = JSON.stringify(state.labels);
  if (now === labelsShown) return;
  labelsShown = now;
  const choose = (name) => async () => {
    label = name;
    for (const button of by("labels").children) button.setAttribute("aria-pressed", button.dataset.label === name);
    events.clear();
    more = loaded = false;
    try {
      await loadEvents();
    } catch (error) {
      showEvents();
      complain("events", error);
    }
  };
  by("labels").replaceChildren(...["", ...state.labels].map((name) =>
    h("button", { "data-label": name, "aria-pressed": name === label, onclick: choose(name) }, name || "all")));
}

by("older").addEventListener("click", async () => {
  by("older").disabled = true;
  try {
    await loadEvents(newestFirst().at(-1));
  } catch (error) {
    complain("events", error);
  } finally {
    by("older").disabled = false;
  }
});

// One event: what was done, and why.

let opened = null;
let pushed = false; // whether "back" leads to the list
let shownEvent = "";
let showClip = false;
const unfolded = new Map(); // decision's id -> whether it is open

const eventInAddress = () => /^#event=([0-9A-Za-z._-]{1,64})$/.exec(location.hash)?.[1] ?? null;

function openEvent(id) {
  if (opened) history.replaceState(null, "", `#event=${id}`);
  else {
    history.pushState(null, "", `#event=${id}`);
    pushed = true;
  }
  followAddress();
}

function followAddress() {
  const id = eventInAddress();
  if (id === opened) return;
  opened = id;
  if (id === null) {
    by("event").close();
    return;
  }
  shownEvent = "";
  showClip = false;
  unfolded.clear();
  say(by("event-title"), "…");
  by("event-body").replaceChildren();
  if (!by("event").open) by("event").showModal();
  by("event").scrollTop = 0;
  by("event-title").focus();
  refreshEvent();
}

async function refreshEvent() {
  const id = opened;
  let found;
  try {
    found = await ask(`api/events/${id}`);
  } catch (error) {
    if (id === opened && !shownEvent) {
      say(by("event-title"), "Not here");
      by("event-body").replaceChildren(h("p", {}, error.message));
    }
    return;
  }
  if (id !== opened) return;
  const now = JSON.stringify(found);
  if (now !== shownEvent) {
    shownEvent = now;
    showEvent(found);
  }
  const ids = newestFirst();
  const at = ids.indexOf(id);
  by("newer").disabled = at <= 0;
  by("next").disabled = at < 0 || at === ids.length - 1;
}

function showEvent({ event, decisions, left_out: leftOut }) {
  say(by("event-title"), `${event.label[0].toUpperCase()}${event.label.slice(1)}, ${percent(event.score)}`);
  const body = by("event-body");
  if (body.dataset.id !== event.id || !body.children.length) {
    body.dataset.id = event.id;
    body.replaceChildren(h("div.media"), h("div.choice"), h("dl.facts"), h("section", { "aria-label": "Why" }));
  }
  const [media, choice, facts, why] = body.children;
  showMedia(event, media, choice);
  const fact = (name, text) => (text ? [h("div", {}, h("dt", {}, name), h("dd", {}, text))] : []);
  facts.replaceChildren(
    ...fact("When", `${dayOf(event.begin)} ${exactTimeOf(event.begin)}`),
    ...fact("How long", event.end === null ? "it is still there" : lasting(event.end - event.begin)),
    ...fact("Camera", event.camera),
    ...fact("Light", event.light),
    ...fact("Zones", event.zones.join(", ")),
    ...fact("Frames that say so", String(event.frames)),
    ...fact("Done", event.actions.join(", ") || "nothing; only watched"),
  );
  const newest = [...decisions].reverse();
  const first = newest.find((decision) => decision.actions.length) ?? newest[0];
  why.replaceChildren(h("h3", {}, "Why"),
    h("p.small", {}, decisions.length ? "Each decision holds until something about it changes; the newest comes first."
      : "No decision is on record yet."),
    ...newest.map((decision) => showDecision(decision, decision === first)),
    leftOut ? h("p.small", {}, `${leftOut} older decisions are not shown.`) : "");
}

function showMedia(event, media, choice) {
  const clip = showClip && event.clip;
  const address = clip ? event.clip : pictureOf(event);
  if (media.dataset.address === String(address)) return;
  media.dataset.address = address;
  const sorry = (text) => () => media.replaceChildren(text);
  if (!address) media.replaceChildren("There is no picture.");
  else if (clip) {
    media.replaceChildren(h("video", { src: address, controls: true, autoplay: true, loop: true, playsinline: true,
      onerror: sorry("This browser cannot play the clip, or it is not kept any more; the link below saves it.") }));
    media.firstChild.muted = true;
  } else media.replaceChildren(h("img", { src: address, alt: `best picture of this ${event.label}`,
    onerror: sorry("The picture is not kept any more.") }));
  const button = (text, on) => h("button", { "aria-pressed": on === Boolean(clip), onclick: () => {
    showClip = on;
    showMedia(event, media, choice);
    choice.children[Number(on)].focus();
  } }, text);
  choice.hidden = !event.clip;
  if (event.clip) choice.replaceChildren(button("Picture", false), button("Clip", true),
    h("a", { href: event.clip, download: `${event.label} ${event.id}` }, "save the clip"));
}

function showDecision(decision, main) {
  const acts = decision.actions.length > 0;
  const open = unfolded.get(decision.id) ?? main;
  const span = decision.frames > 1 ? `${exactTimeOf(decision.time)} to ${exactTimeOf(decision.until)}, ${decision.frames} frames`
    : exactTimeOf(decision.time);
  const scores = Object.entries(decision.scores).sort((a, b) => (b[1] ?? 0) - (a[1] ?? 0));
  const made = h(acts ? "details.decision.acts" : "details.decision", { open },
    h("summary", {}, h("b", {}, acts ? `Acted: ${decision.actions.join(", ")}` : "Held back"), h("span", {}, span), h("p", {}, acts ? `All ${decision.checks.length} rules agreed.` : decision.why)),
    h("div", {},
      decision.acts.length > 0 && h("div", {}, h("h4", {}, "What was done"), h("ul.acts-list", {}, ...decision.acts.map((act) =>
        h(["failed", "refused"].includes(act.result) ? "li.wrong" : "li", {}, h("b", {}, act.action), h("span", {},
          [act.result, act.end !== null && act.result === "done" ? `on for ${lasting(act.end - act.time)}` : "", act.why].filter(Boolean).join(" · ")))))),
      h("div", {}, h("h4", {}, "Rules"), h("ul.checks", {}, ...decision.checks.map((check) =>
        h(check.passed ? "li" : "li.against", {}, h("span", { role: "img", "aria-label": check.passed ? "passed" : "against" }, check.passed ? "\u2713" : "\u2715"),
          h("span.rule.first", {}, check.rule.replaceAll("_", " ")), h("span.why", {}, check.why))))),
      scores.length > 0 && h("div", {}, h("h4", {}, `Scores of its first frame, by ${decision.model}`), h("div.scores", {}, ...scores.flatMap(
        ([name, score]) => [h("span", {}, name), bar(score ?? 0, name === decision.label), h("span", {}, percent(score))])))));
  made.addEventListener("toggle", () => unfolded.set(decision.id, made.open));
  return made;
}

function bar(share, best) {
  const inner = h(best ? "i.best" : "i");
  inner.style.width = `${100 * Math.min(1, Math.max(0, share))}%`;
  return h("div.bar", { "aria-hidden": "true" }, inner);
}

function closeEvent() {
  if (pushed) history.back();
  else {
    history.replaceState(null, "", location.pathname);
    followAddress();
  }
  pushed = false;
}

function walk(step) {
  const ids = newestFirst();
  const next = ids[ids.indexOf(opened) + step];
  if (next && ids.includes(opened)) openEvent(next);
}

by("close").addEventListener("click", closeEvent);
by("newer").addEventListener("click", () => walk(-1));
by("next").addEventListener("click", () => walk(1));
by("event").addEventListener("cancel", (event) => { event.preventDefault(); closeEvent(); });
by("event").addEventListener("click", (event) => { if (event.target === by("event")) closeEvent(); });
by("event").addEventListener("close", () => {
  by("event-body").replaceChildren(); // a clip plays no longer
  by("event-body").dataset.id = "";
});
window.addEventListener("popstate", () => { if (!eventInAddress()) pushed = false; followAddress(); });
window.addEventListener("hashchange", followAddress);

// Keys.

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("video")) return;
  if (opened) {
    if (event.key === "ArrowLeft") walk(-1);
    else if (event.key === "ArrowRight") walk(1);
    return;
  }
  if (event.key === "o") toggleOutlines();
  const row = event.target.closest(".row");
  const step = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1 }[event.key];
  if (!step || (!row && event.key.startsWith("Arrow"))) return;
  const all = [...document.querySelectorAll(".row")];
  const next = all[row ? all.indexOf(row) + step : 0];
  if (next) {
    event.preventDefault();
    next.focus();
  }
});

// What is told at once, and what happens when nobody tells any more.

function listen() {
  const stream = new EventSource("api/stream");
  let waiting = null;
  const reload = async () => {
    try {
      await Promise.all([loadState(), loadEvents()]);
      if (opened) refreshEvent();
    } catch (error) {
      complain("load", error);
    }
  };
  stream.onopen = () => {
    clearTimeout(waiting);
    waiting = null;
    setLost(false);
    reload();
  };
  stream.onerror = () => {
    waiting ??= setTimeout(() => setLost(true), 3000);
    if (stream.readyState === EventSource.CLOSED) { // refused; the browser does not try again
      stream.close();
      setLost(true);
      setTimeout(listen, 5000);
    }
  };
  stream.addEventListener("event", (message) => takeEvent(JSON.parse(message.data)));
  stream.addEventListener("decided", (message) => { if (JSON.parse(message.data).event === opened && opened) refreshEvent(); });
  stream.addEventListener("acted", () => { if (opened) refreshEvent(); });
  stream.addEventListener("state", () => loadState().catch((error) => complain("load", error)));
  stream.addEventListener("reload", reload);
}

function setLost(now) {
  lost = now;
  if (now) notices.set("lost", "The sentinel does not answer; what is shown may be old. Trying again.");
  else notices.delete("lost");
  if (state) showHealth();
  else showNotices();
}

if (storage.get("lotor.plain")) toggleOutlines();
setInterval(() => { for (const camera of cameras.values()) camera.tick(); }, 500);
setInterval(() => { if (!document.hidden && !lost) loadState().catch(() => {}); }, 10000);
document.addEventListener("visibilitychange", () => { if (!document.hidden && !lost) loadState().catch(() => {}); });
listen();
followAddress();
