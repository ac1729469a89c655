// <icepush-now> shows what plays on a mount of icepush, and follows it: docs/nowplaying.md.
//
// Titles come over WebSocket; where that does not get through by server-sent events, and else
// by asking every five seconds. What comes from outside is only ever shown as text.

const version = 1;
const polling = 5_000; // ms between two questions, where nothing else works
const silence = 20_000; // ms: heartbeats come every five seconds

// connections are shared by the elements of a page: one for each server.
const connections = new Map();

class Connection {
  mounts = new Map(); // by name, as the newest messages say
  elements = new Set();
  filter = []; // the mounts that are asked for; none for all
  attempts = 0; // that failed, one behind the other
  close = null; // ends what is connected, or waits to be

  constructor(base) {
    this.base = base;
    addEventListener("online", () => this.open());
    document.addEventListener("visibilitychange", () => { if (!document.hidden && this.attempts > 0) this.open() });
  }

  add(element) {
    this.elements.add(element);
    const wanted = [...new Set([...this.elements].map(e => e.getAttribute("mount") || ""))].sort();
    const filter = wanted.includes("") || wanted.length > 20 ? [] : wanted;
    if (this.close && this.filter.join(" ") === filter.join(" ")) return element.told();
    this.filter = filter;
    clearTimeout(this.opening);
    this.opening = setTimeout(() => this.open()); // once for all that are on the page
  }

  remove(element) {
    this.elements.delete(element);
    if (this.elements.size > 0 || !this.close) return;
    this.close();
    this.close = null;
  }

  url(path) {
    const url = new URL(path, this.base);
    for (const mount of this.filter) url.searchParams.append("mount", mount);
    return url;
  }

  // open connects in the way whose turn it is. Each attempt that fails passes the turn on.
  open() {
    if (this.close) this.close();
    if (this.elements.size === 0) return;
    const ways = [this.socket, this.socket, this.events, this.poll];
    let ended = false;
    const end = ways[this.attempts % ways.length].call(this, message => {
      if (ended || message.version !== version) return;
      this.attempts = this.attempts % ways.length; // this way works
      this.take(message);
    }, worked => {
      if (ended) return;
      this.close();
      this.attempts = worked ? 0 : this.attempts + 1;
      if (this.attempts > 0) for (const element of this.elements) element.toggleAttribute("data-offline", true);
      // When a server starts again all pages come back: not all at one time.
      const wait = worked ? 3000 * Math.random() : Math.min(30_000, 500 * 2 ** Math.max(0, this.attempts - 2)) * (0.5 + Math.random());
      const timer = setTimeout(() => this.open(), wait);
      this.close = () => clearTimeout(timer);
    });
    this.close = () => { ended = true; end() };
  }

  socket(take, lost) {
    const url = this.url("nowplaying");
    url.protocol = url.protocol.replace("http", "ws");
    const socket = new WebSocket(url);
    let worked = false;
    let timer = setTimeout(() => socket.close(), silence);
    socket.onmessage = event => {
      worked = true;
      clearTimeout(timer);
      timer = setTimeout(() => { socket.close(); lost(true) }, silence); // a dead line takes long to close
      take(JSON.parse(event.data));
    };
    socket.onclose = () => lost(worked);
    return () => { clearTimeout(timer); socket.close() };
  }

  events(take, lost) {
    const source = new EventSource(this.url("nowplaying/events"));
    let worked = false;
    let timer = setTimeout(() => lost(false), silence); // some proxies keep them for themselves
    for (const type of ["snapshot", "change", "position"]) {
      source.addEventListener(type, event => {
        worked = true;
        clearTimeout(timer);
        timer = setTimeout(() => lost(true), silence);
        take(JSON.parse(event.data));
      });
    }
    source.onerror = () => { if (!worked || source.readyState === EventSource.CLOSED) lost(worked) };
    return () => { clearTimeout(timer); source.close() };
  }

  poll(take, lost) {
    let timer, asked = 0;
    const ask = async () => {
      try {
        const response = await fetch(this.url("nowplaying.json"), {signal: AbortSignal.timeout(silence), cache: "no-store"});
        take(await response.json());
      } catch {
        return lost(false);
      }
      if (++asked * polling >= 60_000) return lost(true); // what did not work may work now
      timer = setTimeout(ask, polling);
    };
    ask();
    return () => clearTimeout(timer);
  }

  take(message) {
    const at = performance.now(), before = [...this.mounts.keys()].join(" ");
    if (message.type === "snapshot") this.mounts.clear();
    for (const mount of message.mounts) {
      const known = message.type === "position" ? this.mounts.get(mount.mount) : {};
      if (known) this.mounts.set(mount.mount, {...known, ...mount, at});
    }
    for (const element of this.elements) {
      element.removeAttribute("data-offline");
      element.told();
    }
    const names = [...this.mounts.keys()];
    if (before !== names.join(" ")) document.dispatchEvent(new CustomEvent("icepush-mounts", {detail: names}));
  }

  // find returns the mount of this name, or the first.
  find(name) {
    if (!name) return this.mounts.values().next().value;
    return this.mounts.get(name) || [...this.mounts.values()].find(m => name.startsWith("/") && m.mount.endsWith(name));
  }
}

const clock = seconds => Math.floor(seconds / 60) + ":" + String(Math.floor(seconds % 60)).padStart(2, "0");
const isWeb = url => /^https?:\/\//i.test(url || "");

export class IcepushNow extends HTMLElement {
  #connection = null;
  #known = []; // what the mount was in the last minutes and is, the oldest first
  #timer = 0;
  #joined = 0; // when the player connected
  #left = null; // ends what is listened to on the player

  static observedAttributes = ["mount", "server", "audio"];

  attributeChangedCallback() {
    if (!this.#connection) return;
    this.disconnectedCallback();
    this.connectedCallback();
  }

  connectedCallback() {
    const server = this.getAttribute("server");
    const base = new URL(server ? server.replace(/\/*$/, "/") : ".", server ? location.href : import.meta.url);
    base.search = base.hash = "";
    this.#known = [];
    if (!connections.has(base.href)) connections.set(base.href, new Connection(base.href));
    if (!this.querySelector("[data-now]")) {
      this.insertAdjacentHTML("beforeend", `<strong data-now="text" dir="auto" aria-live="polite"></strong> <small data-now="clock"></small>`);
    }
    const audio = this.getAttribute("audio");
    this.audio = audio ? document.getElementById(audio) : this.querySelector("audio");
    // A player that loads nothing of itself connects when it is to play.
    this.#left = new AbortController();
    const until = {signal: this.#left.signal};
    this.audio?.addEventListener("play", () => { if (this.audio.readyState === 0) this.#joined = performance.now() }, until);
    this.audio?.addEventListener("loadstart", () => { if (!this.audio.paused) this.#joined = performance.now() }, until);
    this.#connection = connections.get(base.href);
    this.#connection.add(this);
    this.#timer = setInterval(() => this.#show(), 250);
  }

  disconnectedCallback() {
    clearInterval(this.#timer);
    this.#left.abort();
    this.#connection.remove(this);
    this.#connection = null;
  }

  // told is called when the connection knows more.
  told() {
    const last = this.#known.at(-1);
    let mount = this.#connection.find(this.getAttribute("mount"));
    if (!mount && last && last.state !== "off") mount = {...last, state: "off", at: performance.now()}; // it is gone
    if (!mount || mount === last) return;
    this.#known.push(mount);
    if (this.#known.length > 100) this.#known.shift();
    this.#show();
  }

  // #heard returns when what is heard now left the server's clock. A player gets "lead"
  // seconds at once when it joins: it is that far behind, and the time it took to begin.
  #heard(mount) {
    const now = performance.now();
    const audio = this.audio;
    if (!audio || audio.paused || !this.#joined || !(audio.currentTime > 0)) return now;
    return Math.min(now, this.#joined + (audio.currentTime - (mount.lead || 0)) * 1000);
  }

  #show() {
    if (this.#known.length === 0) return;
    const heard = this.#heard(this.#known.at(-1));
    const mount = this.#known.findLast(m => m.at <= heard) || this.#known[0], track = mount.track || {};
    const playing = mount.state === "playing";
    if (this.getAttribute("state") !== mount.state) this.setAttribute("state", mount.state);
    const duration = track.duration || 0;
    const known = mount.state !== "off" && mount.position !== undefined;
    const position = known ? Math.max(0, Math.min(mount.position + (playing ? (heard - mount.at) / 1000 : 0), duration || Infinity)) : 0;
    for (const at of this.querySelectorAll("[data-now]")) {
      switch (at.dataset.now) {
        case "text": text(at, mount.state === "off" ? this.getAttribute("off") ?? "Nothing plays" : track.text || mount.name || ""); break;
        case "artist": case "title": case "album": text(at, mount.state === "off" ? "" : track[at.dataset.now] || ""); break;
        case "name": case "description": case "genre": text(at, mount[at.dataset.now] || ""); break;
        case "listeners": text(at, mount.listeners === undefined ? "" : String(mount.listeners)); break;
        case "progress": at.hidden = !known || !duration; break;
        case "position": at.max = duration || 1; at.value = position; break;
        case "clock": text(at, known ? clock(position) + (duration ? " / " + clock(duration) : "") : ""); break;
        case "artwork": picture(at, mount.state !== "off" && isWeb(track.artwork) ? track.artwork : ""); break;
        case "history": list(at, mount.history || []); break;
        case "before": at.hidden = !(mount.history || []).length; break;
      }
    }
    if (this.shown !== mount && (this.shown?.track?.text !== track.text || this.shown?.state !== mount.state)) {
      this.dispatchEvent(new CustomEvent("icepush-now", {detail: mount, bubbles: true}));
    }
    this.shown = mount;
  }
}

function text(at, value) {
  if (at.textContent !== value) at.textContent = value;
}

function picture(at, url) {
  at.hidden = !url;
  if (url && at.getAttribute("src") !== url) at.src = url;
}

function list(at, tracks) {
  tracks = tracks.slice(0, Number(at.dataset.most) || 5).map(t => t.text);
  if (JSON.stringify(tracks) === at.icepushShown) return;
  at.icepushShown = JSON.stringify(tracks);
  at.replaceChildren(...tracks.map(t => {
    const item = document.createElement("li");
    item.dir = "auto";
    item.textContent = t;
    return item;
  }));
}

customElements.define("icepush-now", IcepushNow);
