"""OpenCV, set up for all stages; everything in `pipeline` imports `cv2` from here."""

import cv2

cv2.setNumThreads(1)  # clips are converted in parallel instead
cv2.ipp.setUseIPP(False)  # Intel's library rounds as the processor at hand suits it
