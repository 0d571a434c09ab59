"""`graft page`: a folder of static files that classifies pictures in the browser, without a server.

    folder          writes it
    runtime         onnxruntime-web, which runs the model there: fetched once from npm, and checked
    page.html       the page's body; page.js answers one picture after the other
    answers.js      how pictures and answers look, with answers.css: the page of `graft serve` has both, too
    pixels.js       from a picture's file to the model's pixels, as `graft.images` reads it
    classifier.js   from pixels to an answer, as `graft.model.classifier` gives it
    offline.js      keeps the files in the browser, so that the page opens without a network
"""
