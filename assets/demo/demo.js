"use strict";
// The panel: draws what /panel sends and sends back what is pressed. Numbers arrive in SI units.

const at = (id) => document.getElementById(id);
const ON_SCREEN = { rad: ["°", 180 / Math.PI], "rad/s": ["°/s", 180 / Math.PI], "rad/s^2": ["°/s²", 180 / Math.PI] };
const MARKS = { clean: "✓", breach: "✕", warned: "!", idle: "·" };
const ZERO = 25; // where zero lies on a gauge, in percent

let words = {};
let language = localStorage.getItem("genba-language") || "en";
let socket = null;
let last = null; // the newest message
const scales = {}; // largest margin seen for each limit: the right end of its gauge
const rows = {};

window.ready = false;
window.panel = () => last;

function say(key, ...values) {
  const text = (words[language] || {})[key] ?? key;
  return text.replace(/\{(\d)\}/g, (_, i) => values[i]);
}

function nameOf(limit) {
  return (words.names[language] || {})[limit.id] || limit.title[language];
}

function wordFor(kind, id) {
  return last.words[language][kind][id] ?? say(id); // an episode that is running has no outcome yet
}

function send(command) {
  if (socket && socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(command));
}

function onScreen(unit) {
  return ON_SCREEN[unit] || [unit === "1" ? "" : unit.replace("*", "·").replace("^2", "²"), 1];
}

function amount(value, unit) {
  if (value === null) return "–";
  const shown = value * onScreen(unit)[1];
  const size = Math.abs(shown);
  if (size === 0) return "0";
  const digits = size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3;
  return (shown < 0 ? "−" : "+") + size.toFixed(digits);
}

function position(value, scale) {
  const share = Math.max(-1 / 3, Math.min(1, value / scale));
  return ZERO + share * (100 - ZERO);
}

function rowOf(limit) {
  if (rows[limit.id]) return rows[limit.id];
  const row = document.createElement("div");
  row.className = "row";
  row.dataset.id = limit.id;
  row.innerHTML =
    '<span class="mark"></span><span class="title"></span><span class="gauge"><i class="bar"></i><i class="zero"></i>' +
    '<i class="tick"></i></span><span class="value now"></span><span class="value worst"></span><span class="unit"></span>';
  const part = (name) => row.querySelector("." + name);
  part("unit").textContent = onScreen(limit.unit)[0];
  rows[limit.id] = { row, mark: part("mark"), title: part("title"), gauge: part("gauge"), bar: part("bar"),
    tick: part("tick"), now: part("now"), worst: part("worst") };
  at("rows").append(row);
  return rows[limit.id];
}

function drawLimit(limit, closest) {
  const cell = rowOf(limit);
  cell.row.dataset.state = limit.state;
  cell.row.classList.toggle("closest", closest);
  cell.mark.textContent = MARKS[limit.state] || "✕";
  cell.title.textContent = nameOf(limit);
  cell.row.title = limit.says[language] + (limit.hard ? "" : " (" + say("warned") + ")");
  cell.now.textContent = amount(limit.now, limit.unit);
  cell.worst.textContent = limit.fault ? say("fault") : limit.late ? say("late") : amount(limit.worst, limit.unit);
  const seen = [limit.now, limit.worst].filter((v) => v !== null).map(Math.abs);
  scales[limit.id] = Math.max(scales[limit.id] || 1e-9, ...seen);
  const scale = scales[limit.id];
  const now = position(limit.now ?? 0, scale);
  cell.bar.style.left = Math.min(now, ZERO) + "%";
  cell.bar.style.width = Math.abs(now - ZERO) + "%";
  cell.bar.classList.toggle("under", now < ZERO);
  cell.tick.hidden = limit.worst === null;
  cell.tick.style.left = position(limit.worst ?? 0, scale) + "%";
}

function drawEpisode(message) {
  at("task").textContent = message.title[language];
  const { disturbance, severity } = message.playing;
  at("policy").textContent = message.policy + (severity ? ` · ${wordFor("disturbance", disturbance)}, ${say("severity", severity)}` : "");
  at("number").textContent = message.episode;
  at("seed").textContent = message.seed;
  at("time").textContent = message.time_s.toFixed(1) + " s";
  at("horizon").textContent = say("of", message.horizon_s);
  at("reason").textContent = at("reason").title = wordFor("outcome", message.reason);
  at("reason").dataset.kind = { running: "running", success: "success" }[message.reason] || "failure";
  at("elapsed").style.width = Math.min(100, (100 * message.time_s) / message.horizon_s) + "%";
  at("takt").style.left = Math.min(100, (100 * message.takt_s) / message.horizon_s) + "%";
  at("progress").title = say("takt", message.takt_s);
  at("untrusted").hidden = at("stamp").hidden = !message.touched;
}

function drawVerdict(message) {
  at("return").textContent = message.return.toFixed(1).replace("-", "−");
  const state = message.touched ? "void" : message.verdict;
  at("verdict-card").dataset.state = state;
  at("verdict").textContent = say(state);
  const worst = message.limits.find((limit) => limit.id === message.closest);
  const key = message.verdict === "clean" ? "closest" : "broken";
  at("closest").textContent = worst
    ? say(key, nameOf(worst), `${amount(worst.worst, worst.unit)} ${onScreen(worst.unit)[0]}`) : say("nothing");
  at("closest").title = worst ? worst.says[language] : "";
}

function drawTally(message) {
  at("dots").replaceChildren(...message.history.map((one) => {
    const dot = document.createElement("i");
    dot.dataset.kind = one.touched ? "touched" : one.breaches.length ? "breach" : one.success ? "success" : "failure";
    dot.title = `${say("episode")} ${one.episode} · ${say("seed")} ${one.seed} · ${wordFor("outcome", one.reason)} ${one.breaches.join(", ")}`;
    return dot;
  }));
  const { finished, succeeded, broke, touched } = message.tally;
  const slow = message.speed !== null && message.speed < 0.85 * message.wanted_speed;
  at("counts").textContent = slow ? say("slow", message.speed.toFixed(2))
    : say("counts", finished, succeeded, broke) + (touched ? say("counts_touched", touched) : "");
}

function drawControls(message) {
  at("pause").textContent = say(message.paused ? "resume" : "pause");
  if (at("disturbance").childElementCount !== message.disturbances.length + 1) {
    const option = (value, text) => Object.assign(document.createElement("option"), { value, textContent: text });
    at("disturbance").replaceChildren(option("none", say("none")), ...message.disturbances.map((d) => option(d, wordFor("disturbance", d))));
    at("severity").replaceChildren(...[1, 2, 3, 4, 5].map((s) => option(s, say("severity", s))));
  }
  if (document.activeElement !== at("disturbance")) at("disturbance").value = message.chosen.disturbance;
  if (document.activeElement !== at("severity")) at("severity").value = message.chosen.severity || 1;
  at("severity").hidden = at("disturbance").value === "none";
}

function draw(message) {
  last = message;
  drawEpisode(message);
  drawVerdict(message);
  message.limits.forEach((limit) => drawLimit(limit, limit.id === message.closest));
  at("left-out").hidden = message.left_out.length === 0;
  at("left-out").textContent = say("left_out", message.left_out.join(", "));
  drawTally(message);
  drawControls(message);
  at("veil").hidden = message.watching;
  window.ready = message.watching;
}

function relabel() {
  document.documentElement.lang = language;
  document.querySelectorAll("[data-word]").forEach((node) => { node.textContent = say(node.dataset.word); });
  at("untrusted").textContent = say("untrusted");
  at("stamp").textContent = say("stamp");
  at("language").textContent = say("other");
  at("language").lang = language === "en" ? "ja" : "en";
  at("disturbance").replaceChildren();
  veil("waiting");
  if (last) draw(last);
}

function veil(key) {
  at("veil").textContent = say(key);
  at("veil").hidden = false;
}

function connect() {
  socket = new WebSocket(`ws://${location.host}/panel`);
  socket.onmessage = (event) => {
    const message = JSON.parse(event.data);
    if (message.limits) draw(message);
  };
  socket.onclose = () => {
    window.ready = false;
    veil(last ? "gone" : "waiting");
    setTimeout(connect, 1000);
  };
}

function listen() {
  const condition = () => send({ do: "condition", disturbance: at("disturbance").value, severity: Number(at("severity").value) });
  at("push").onclick = () => send({ do: "push" });
  at("knock").onclick = () => send({ do: "knock" });
  at("pause").onclick = () => send({ do: "pause" });
  at("again").onclick = () => send({ do: "again" });
  at("next").onclick = () => send({ do: "next" });
  at("disturbance").onchange = condition;
  at("severity").onchange = condition;
  at("language").onclick = () => {
    language = language === "en" ? "ja" : "en";
    localStorage.setItem("genba-language", language);
    relabel();
  };
}

async function start() {
  words = await (await fetch("words.json")).json();
  listen();
  relabel();
  connect();
}

start();
