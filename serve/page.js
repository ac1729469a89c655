// The page of a station: what plays is in the name of its tab, and a mount that comes or goes
// is shown.
"use strict";
document.addEventListener("icepush-now", event => {
  if (event.target !== document.querySelector("icepush-now")) return;
  const mount = event.detail;
  document.title = mount.state === "playing" && mount.track ? `${mount.track.text} · ${mount.name}` : mount.name;
});
document.addEventListener("icepush-mounts", event => {
  const shown = [...document.querySelectorAll("icepush-now[mount]")].map(e => e.getAttribute("mount"));
  const listening = [...document.querySelectorAll("audio")].some(a => !a.paused);
  const told = event.detail.join(" ");
  if (listening || shown.join(" ") === told || sessionStorage.icepushMounts === told) return;
  sessionStorage.icepushMounts = told; // once: should it not help, it would go on for ever
  location.reload();
});
