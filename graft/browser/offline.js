// Keep the page's files, so that it opens without a network: where there is one, the newest files are taken.

addEventListener("install", (event) => event.waitUntil(keepAll()));
addEventListener("fetch", (event) => event.respondWith(newest(event)));

const kept = () => caches.open(registration.scope);

async function keepAll() {
  const {files} = await (await fetch("page.json")).json();
  await (await kept()).addAll(["./", ...files]);
}

async function newest(event) {
  const cache = await kept();
  try {
    const answer = await fetch(event.request);
    if (event.request.method === "GET" && answer.ok) event.waitUntil(cache.put(event.request, answer.clone()));
    return answer;
  } catch {
    return await cache.match(event.request) ?? Response.error();
  }
}
