// Frames: what is on the screen, and when.

/** The next frame is on the screen, or none is painted, as in a tab that nobody sees. */
export function painted() {
  if (document.hidden) return Promise.resolve();
  return new Promise((resolve) => {
    requestAnimationFrame(() => setTimeout(resolve, 0));
    setTimeout(resolve, 200);
  });
}
