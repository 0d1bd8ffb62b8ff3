/* The page's own script: times in the reader's zone, the live log, keys. htmx does the rest. */
"use strict";
(() => {
  const LINES_MAX = 4000;
  const AWAY_MILLISECONDS = 3000;

  const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
  const calendar = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

  function showTimes(root) {
    for (const time of root.querySelectorAll("time[datetime]:not([data-local])")) {
      const at = new Date(time.dateTime);
      if (Number.isNaN(at.getTime())) continue;
      const today = at.toDateString() === new Date().toDateString();
      time.title = time.textContent;
      time.textContent = (today ? clock : calendar).format(at);
      time.dataset.local = "";
    }
  }

  /* The browser's time zone: offered, and sent only by whoever says so. */
  function offerZone(root) {
    const { timeZone } = Intl.DateTimeFormat().resolvedOptions();
    if (!timeZone) return;
    for (const choice of root.querySelectorAll("[data-zone-choice]")) {
      choice.querySelector("input").value = timeZone;
      choice.querySelector("span").textContent = timeZone;
      choice.hidden = false;
    }
    for (const field of root.querySelectorAll("input[data-zone]")) field.value ||= timeZone;
  }

  function sendByKey(event) {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    if (!event.target.matches("textarea[data-send]")) return;
    event.preventDefault();
    event.target.form.requestSubmit();
  }

  class Log {
    constructor(log) {
      this.log = log;
      this.last = Number(log.dataset.last);
      this.paused = false;
      this.waiting = [];
      this.state = document.getElementById("live-state");
      this.button = document.getElementById("pause");
      this.button.hidden = false;
      this.button.addEventListener("click", () => this.pause(!this.paused));
      window.addEventListener("pagehide", () => this.source?.close());
      window.addEventListener("pageshow", (event) => event.persisted && this.open());
      this.open();
      this.toEnd();
    }

    open() {
      this.source?.close();
      const source = new EventSource(`${this.log.dataset.live}?after=${this.last}`);
      this.source = source;
      source.onopen = () => this.say("Live");
      source.onmessage = (message) => this.take(Number(message.lastEventId), message.data);
      source.onerror = () => {
        this.say("Connection lost, trying again");
        if (source.readyState !== EventSource.CLOSED) return;
        // An answer that is no stream ends the browser's own attempts.
        setTimeout(() => this.source === source && this.open(), AWAY_MILLISECONDS);
      };
    }

    say(words) {
      this.words = words;
      const waiting = this.waiting.length ? `, ${this.waiting.length} new` : "";
      const shown = this.paused ? `Paused${waiting}` : words;
      if (this.state.textContent !== shown) this.state.textContent = shown;
    }

    take(number, html) {
      if (!(number > this.last)) return;
      this.last = number;
      if (this.paused) {
        this.waiting.push(html);
        this.countLater();
        return;
      }
      const atEnd = this.atEnd();
      this.add(html);
      if (atEnd) this.toEnd();
    }

    countLater() {
      clearTimeout(this.counting);
      this.counting = setTimeout(() => this.say(this.words), 500);
    }

    add(html) {
      const part = document.createElement("template");
      part.innerHTML = html;
      showTimes(part.content);
      for (const line of [...part.content.children]) this.put(line);
      this.trim();
    }

    put(line) {
      if (line.matches("span.piece")) {
        const speech = this.log.lastElementChild;
        if (speech?.matches(".speech")) speech.lastElementChild.append(...line.childNodes);
        return;
      }
      const before = this.shown(line);
      if (before) {
        before.replaceWith(line);
        return;
      }
      if (line.matches("span.out")) {
        let block = this.log.lastElementChild;
        if (!block?.matches("pre.output")) {
          block = document.createElement("pre");
          block.className = "output";
          this.log.append(block);
        }
        block.append(line);
      } else {
        this.log.append(line);
        this.changed();
      }
    }

    /* What stands there already: a tool that goes on, a plan that changed, a speech that has ended. */
    shown(line) {
      for (const name of ["key", "first"]) {
        const value = line.dataset[name];
        if (value) return this.log.querySelector(`[data-${name}="${CSS.escape(value)}"]`);
      }
      return null;
    }

    /* Earlier lines may end in the middle of the line that the ones below begin with. */
    join() {
      for (const block of this.log.querySelectorAll("pre.output + pre.output")) {
        block.previousElementSibling.append(...block.childNodes);
        block.remove();
      }
    }

    trim() {
      const lines = this.log.querySelectorAll("[data-n]");
      if (lines.length <= LINES_MAX * 1.25) return;
      for (const line of [...lines].slice(0, lines.length - LINES_MAX)) {
        const block = line.parentElement;
        line.remove();
        if (block !== this.log && block.childElementCount === 0) block.remove();
      }
      this.log.querySelector(".earlier")?.remove();
      if (this.left) return;
      this.left = document.createElement("p");
      this.left.className = "earlier";
      this.left.textContent = "Earlier lines are left out here; load the page again to page back to them.";
      this.log.prepend(this.left);
    }

    changed() {
      clearTimeout(this.changing);
      this.changing = setTimeout(() => htmx.trigger(document.body, "onachanged"), 200);
    }

    pause(paused) {
      this.paused = paused;
      this.button.textContent = paused ? "Go on" : "Pause";
      this.button.setAttribute("aria-pressed", String(paused));
      if (!paused) {
        const waiting = this.waiting;
        this.waiting = [];
        for (const html of waiting) this.add(html);
      }
      this.say(this.words);
    }

    atEnd() {
      const page = document.documentElement;
      return page.scrollHeight - page.clientHeight - page.scrollTop < 120;
    }

    toEnd() {
      window.scrollTo({ top: document.documentElement.scrollHeight, behavior: "instant" });
    }
  }

  function start() {
    showTimes(document);
    offerZone(document);
    document.addEventListener("keydown", sendByKey);
    const place = document.getElementById("log");
    const log = place && new Log(place);
    document.addEventListener("htmx:after:swap", () => {
      showTimes(document);
      log?.join();
      if (document.activeElement === document.body) document.querySelector("#ask textarea")?.focus();
    });
    document.addEventListener("htmx:error", () => {
      const place = document.getElementById("told");
      if (place) place.textContent = "ona does not answer; what you wrote is kept here, try again.";
    });
  }

  // htmx starts on DOMContentLoaded too; both scripts are deferred, so the document is there.
  start();
})();
