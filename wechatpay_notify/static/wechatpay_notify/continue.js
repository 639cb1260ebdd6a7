// Presses "Continue" by itself; without it a person does.
"use strict";
for (const form of document.querySelectorAll("form[data-wechatpay-continue]")) form.requestSubmit();
