// What stays up to date while it is looked at.

export const INTERVAL = 5000;

/**
 * Calls `load(signal)` and then `show(result)` at once and every five seconds while the page is seen. Returns an
 * object with `now()` and `stop()`. A slow answer is waited for: requests never pile up.
 */
export function live(load, show, fail) {
  let timer = null;
  let stopped = false;
  let running = null;
  async function round() {
    clearTimeout(timer);
    running?.abort();
    const current = new AbortController();
    running = current;
    try {
      const result = await load(current.signal);
      if (!stopped && running === current) show(result);
    } catch (error) {
      if (!stopped && error.name !== "AbortError") fail(error);
    } finally {
      if (!stopped && running === current) timer = setTimeout(round, document.hidden ? INTERVAL * 6 : INTERVAL);
    }
  }
  const seen = () => !document.hidden && round();
  document.addEventListener("visibilitychange", seen);
  round();
  return {
    now: round,
    stop() {
      stopped = true;
      clearTimeout(timer);
      running?.abort();
      document.removeEventListener("visibilitychange", seen);
    },
  };
}
