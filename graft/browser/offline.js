// Keep the page's files, so that it opens without a network: where there is one, the newest files are taken.

addEventListener("install", (event) => event.waitUntil(keepAll()));
addEventListener("fetch", (event) => event.respondWith(newest(event)));

const open = () => caches.open(registration.scope);

async function keepAll() {
  const {files} = await (await fetch("page.json")).json();
  await (await open()).addAll(["./", ...files]);
}

/** The file from the network, otherwise the kept one. Another page's files, at the same address later, are not kept. */
async function newest(event) {
  const cache = await open(), kept = await cache.match(event.request);
  try {
    const answer = await fetch(event.request);
    if (kept && answer.ok) event.waitUntil(cache.put(event.request, answer.clone()));
    return answer;
  } catch {
    return kept ?? Response.error();
  }
}
