// Drives the unmodified npm novita-sdk: node drive.cjs BASE_URL KEY IMAGE_FILE -> one JSON line
const fs = require("fs");
const { NovitaSDK } = require("novita-sdk");

async function main([url, key, file]) {
  const sdk = new NovitaSDK(key);
  sdk.setBaseUrl(url);
  const body = { image: fs.readFileSync(file).toString("base64"), resolution: "480p", prompt: "from the npm SDK", seed: 31 };
  const { task_id } = await sdk.httpFetch({ url: "/v3/async/seedance-v1-lite-i2v", method: "POST", data: body });
  let result = await sdk.progress({ task_id });
  while (!["TASK_STATUS_SUCCEED", "TASK_STATUS_FAILED"].includes(result.task.status)) {
    await new Promise((done) => setTimeout(done, 300));
    result = await sdk.progress({ task_id });
  }
  const refusal = await sdk.progress({ task_id: "unknown" }).catch((error) => error);
  console.log(JSON.stringify({ result, refusal: { code: refusal.code, reason: refusal.reason } }));
}

main(process.argv.slice(2)).catch((error) => {
  console.error(error);
  process.exit(1);
});
