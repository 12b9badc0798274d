// Notices that the page cannot be loaded whole and loads it again, once.
//
// While a release is rolled out, the frontend that is asked for a file may be
// another one than that which gave the page, and not have it (any more, or
// yet). This script keeps its address over releases and runs before all else;
// it stands alone and must work with the index of any release.

(() => {
  const KEY = 'pixel-reloaded';
  /** A second failure so soon after the first is not to be helped by reloading, in ms. */
  const SOON = 60000;
  let failed = false;

  /** Storage that the browser may forbid: then nothing is done by itself. */
  function reloadedLately() {
    try {
      const at = Number(sessionStorage.getItem(KEY));
      sessionStorage.setItem(KEY, String(Date.now()));
      return Date.now() - at < SOON;
    } catch {
      return true;
    }
  }

  function tell() {
    const notice = document.getElementById('stale');
    if (notice) notice.hidden = false;
    const loading = document.getElementById('loading');
    if (loading) loading.hidden = true;
  }

  addEventListener(
    'error',
    ({ target }) => {
      const address = target instanceof HTMLScriptElement ? target.src : target instanceof HTMLLinkElement ? target.href : '';
      if (failed || !address || !new URL(address, location.href).pathname.startsWith('/a/')) return;
      failed = true;
      if (!reloadedLately()) location.reload();
      else if (document.readyState === 'loading') addEventListener('DOMContentLoaded', tell);
      else tell();
    },
    true,
  );
})();
