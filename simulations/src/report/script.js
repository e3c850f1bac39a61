"use strict";
(() => {
  const root = document.documentElement;
  const kept = "graticule-theme";
  const remember = (value) => { try { localStorage.setItem(kept, value); } catch { /* not every page may */ } };
  const remembered = () => { try { return localStorage.getItem(kept) || ""; } catch { return ""; } };

  const choose = (theme) => { if (theme) root.dataset.theme = theme; else delete root.dataset.theme; };
  const themes = document.querySelector(".theme");
  themes.hidden = false;
  for (const input of themes.querySelectorAll("input")) {
    input.checked = input.value === remembered();
    input.addEventListener("change", () => { choose(input.value); remember(input.value); });
  }
  choose(remembered());

  // One cursor over all charts of time: the pointer moves it, and so do the arrow keys.
  const data = JSON.parse(document.getElementById("data").textContent);
  const readout = document.querySelector(".readout");
  const time = (column) => `${+(column * data.column_ms / 1000).toFixed(3)} s`;
  const number = (value) => value === null ? "–" : String(+value.toFixed(3));
  const charts = data.charts.map((chart) => ({ ...chart, area: document.getElementById(chart.id).querySelector(".area") }));
  for (const { area } of charts) {
    const line = document.createElement("div");
    line.className = "cursor";
    line.hidden = true;
    area.append(line);
  }

  const text = (chart, column) =>
    chart.series.map((series) => `${series.name}: ${number(series.values[column])}`).join(", ");

  const show = (chart, column) => {
    for (const { area } of charts) {
      const line = area.lastElementChild;
      line.hidden = false;
      line.style.left = `${(column + 0.5) / data.columns * 100}%`;
    }
    const head = document.createElement("b");
    head.textContent = time(column);
    const rows = chart.series.map((series) => {
      const row = document.createElement("div");
      const [key, name, value] = ["i", "span", "span"].map((tag) => document.createElement(tag));
      key.className = `key ${series.class}`;
      name.textContent = series.name;
      value.textContent = number(series.values[column]);
      row.append(key, name, value);
      return row;
    });
    readout.replaceChildren(head, ...rows);
    readout.hidden = false;
    const box = chart.area.getBoundingClientRect();
    const x = box.left + (column + 0.5) / data.columns * box.width;
    const left = x + 14 + readout.offsetWidth > innerWidth ? x - 14 - readout.offsetWidth : x + 14;
    readout.style.left = `${Math.max(4, left)}px`;
    readout.style.top = `${Math.min(Math.max(4, box.top), innerHeight - readout.offsetHeight - 4)}px`;
    chart.area.setAttribute("aria-valuenow", column);
    chart.area.setAttribute("aria-valuetext", `${time(column)}: ${text(chart, column)}`);
    chart.column = column;
  };

  const hide = () => {
    readout.hidden = true;
    for (const { area } of charts) area.lastElementChild.hidden = true;
  };

  const within = (column) => Math.min(Math.max(column, 0), data.columns - 1);
  for (const chart of charts) {
    const { area } = chart;
    const title = area.querySelector("svg").getAttribute("aria-label");
    const roles = { tabindex: 0, role: "slider", "aria-label": title, "aria-valuemin": 0, "aria-valuemax": data.columns - 1, "aria-valuenow": 0 };
    for (const [name, value] of Object.entries(roles)) area.setAttribute(name, value);
    area.addEventListener("pointermove", (event) => {
      const box = area.getBoundingClientRect();
      show(chart, within(Math.floor((event.clientX - box.left) / box.width * data.columns)));
    });
    area.addEventListener("pointerleave", hide);
    area.addEventListener("focus", () => { if (area.matches(":focus-visible")) show(chart, chart.column ?? 0); });
    area.addEventListener("blur", hide);
    area.addEventListener("keydown", (event) => {
      const now = chart.column ?? 0;
      const to = { ArrowLeft: now - 1, ArrowRight: now + 1, PageDown: now - 10, PageUp: now + 10, Home: 0, End: data.columns - 1 }[event.key];
      if (event.key === "Escape") hide();
      if (to === undefined) return;
      event.preventDefault();
      show(chart, within(to));
    });
  }
  addEventListener("scroll", hide, { passive: true });
})();
