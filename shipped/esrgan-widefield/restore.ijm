// Restores an image with "esrgan widefield" in Fiji, through DeepImageJ 3.
//
// In a window: open the image, then Plugins > Macros > Run... and choose this file.
// Without one: fiji --headless -macro restore.ijm "input=/data/in.tif;output=/data/out.tif"
//   input    the image file; without it, the image in front is taken
//   output   the TIFF to write; without it, the result is shown
//   model    the package's folder, or the name of its folder in Fiji's models/; without it, the folder of this macro
// Every plane of a stack or time series is restored by itself.
//
// The network answers in units of the image's mean and standard deviation. They are measured here before the
// run, and undone on the result: result = answer * (standard deviation + EPS) + mean.

requires("1.53t");

var NICKNAME = "esrgan-widefield";
var SCALE = 2;                   // output pixels for each input pixel, along each axis
var TILE = 128;                     // pixels; DeepImageJ can't run images smaller than a third of it
var CHANNELS = 1;
var NORMALISES = true;
var EPS = 0.000001;                       // what zero_mean_unit_variance adds to the standard deviation
var PIXEL_SIZE = 0;         // micrometres of the training images; 0: not known
var OLD_KEYS = false;                  // true for DeepImageJ before 2025, which read modelPath, inputPath, ...

var model, source, name, folder, result;   // image ids and places that the functions share
var width, height, channels, slices, frames, planes;
var pixelWidth, pixelHeight, depth, unit;
var OUTPUTS = 1;                   // channels of the network's answer

input = argument("input");
output = argument("output");
model = chooseModel(argument("model"));

setBatchMode(true);
if (input != "") open(input);
if (nImages == 0) exit("There is no image. Open one first, or name a file: input=/data/in.tif");
source = getImageID();
name = File.getNameWithoutExtension(getTitle());
getDimensions(width, height, channels, slices, frames);
getVoxelSize(pixelWidth, pixelHeight, depth, unit);
interval = Stack.getFrameInterval();
checkImage();
warnOfPixelSize();
warnOfOddSize();

folder = getDirectory("temp") + "relumen_" + d2s(getTime(), 0);
File.makeDirectory(folder);
File.makeDirectory(folder + "/out");
planes = slices * frames;
for (plane = 0; plane < planes; plane++) {
	showProgress(plane, planes);
	restorePlane(plane);
}
removeFolder();

selectImage(result);
if (planes > 1 || OUTPUTS > 1) Stack.setDimensions(OUTPUTS, slices, frames);
setVoxelSize(pixelWidth / SCALE, pixelHeight / SCALE, depth, unit);
if (frames > 1) Stack.setFrameInterval(interval);
resetMinAndMax();
setMetadata("Info", "Restored with esrgan widefield (relumen 0.1.0), package " + model);
if (output != "") {
	saveAs("Tiff", output);
	print("Restored: " + output);
}
setBatchMode("exit and display");


function argument(key) {
	parts = split(getArgument(), ";");
	for (i = 0; i < parts.length; i++) {
		part = String.trim(parts[i]);
		if (startsWith(part, key + "=")) return substring(part, lengthOf(key) + 1);
	}
	return "";
}

// The folder named, or this macro's own, or the model's name, by which DeepImageJ looks into Fiji's models folder.
function chooseModel(named) {
	if (named != "") return replace(named, "\\", "/");
	own = File.getParent(getInfo("macro.filepath"));
	if (File.exists(own + "/rdf.yaml")) return replace(own, "\\", "/");
	return NICKNAME;
}

function checkImage() {
	if (bitDepth() == 24)
		exit("This is an RGB picture, and esrgan widefield wants intensities. Use Image > Color > Split Channels first.");
	if (channels != CHANNELS)
		exit("This image has " + channels + " channel(s), and esrgan widefield takes " + CHANNELS
			+ ". Use Image > Color > Split Channels, and run this on each.");
	if (3 * minOf(width, height) < TILE)
		exit("This image measures " + width + " x " + height + " pixels; DeepImageJ needs at least "
			+ Math.ceil(TILE / 3) + " along each side. Use Image > Adjust > Canvas Size first.");
}

function warnOfPixelSize() {
	size = (pixelWidth + pixelHeight) / 2 * micrometres(unit);
	if (PIXEL_SIZE == 0 || size == 0) return;
	if (abs(size / PIXEL_SIZE - 1) > 0.3)
		print("Warning: the image's pixels measure " + d2s(size, 4) + " micrometres, and esrgan widefield was trained on "
			+ d2s(PIXEL_SIZE, 4) + ". Rescale the image first (Image > Scale...), or don't trust details.");
}

// JDLL halves what a small image lacks to a tile: where that is odd, the answer comes out one pixel beside its place.
function warnOfOddSize() {
	if (SCALE % 2 == 1) return;
	if ((width < TILE && (TILE - width) % 2 == 1) || (height < TILE && (TILE - height) % 2 == 1))
		print("Warning: this image of " + width + " x " + height + " pixels is smaller than a tile of " + TILE
			+ ", and odd: DeepImageJ shifts its result by half a pixel of the image. Crop it to an even size to avoid that.");
}

// Micrometres in a unit of length; 0 for what is none.
function micrometres(unit) {
	word = toLowerCase(unit);
	if (word == "um" || startsWith(word, "micro")) return 1;
	if (lengthOf(word) == 2 && endsWith(word, "m")) {
		if (charCodeAt(word, 0) == 181 || charCodeAt(word, 0) == 956) return 1;
		if (word == "nm") return 0.001;
		if (word == "mm") return 1000;
		if (word == "cm") return 10000;
	}
	return 0;
}

function restorePlane(plane) {
	selectImage(source);
	run("Select None");
	if (channels > 1) {
		z = 1 + plane % slices;
		t = 1 + floor(plane / slices);
		run("Duplicate...", "title=plane duplicate slices=" + z + " frames=" + t);
	} else {
		if (planes > 1) setSlice(plane + 1);
		run("Duplicate...", "title=plane");
	}
	run("32-bit");
	getRawStatistics(pixels, mean, min, max, deviation);
	if (isNaN(mean) || isNaN(deviation) || pixels < width * height) {
		removeFolder();
		exit("The image holds pixels that are no finite numbers. Use Process > Noise > Remove NaNs... first.");
	}
	deviation = deviation * sqrt((pixels - 1) / pixels) + EPS;   // ImageJ divides by n - 1, DeepImageJ by n
	saveAs("Tiff", folder + "/plane.tif");
	close();
	if (emptyOut() > 0) exit("The result of the plane before can't be removed from " + folder + "/out");
	runModel();
	open(findResult());
	if (NORMALISES) {
		run("Multiply...", "value=" + d2s(deviation, -9) + " stack");
		run("Add...", "value=" + d2s(mean, -9) + " stack");
	}
	answer = getImageID();
	OUTPUTS = nSlices;
	if (planes == 1) {
		rename(name + "_restored");
		result = answer;
		return;
	}
	if (plane == 0) {
		newImage(name + "_restored", "32-bit black", SCALE * width, SCALE * height, OUTPUTS * planes);
		result = getImageID();
	}
	for (c = 0; c < OUTPUTS; c++) {
		selectImage(answer);
		if (OUTPUTS > 1) setSlice(c + 1);
		run("Select All");
		run("Copy");
		selectImage(result);
		setSlice(plane * OUTPUTS + c + 1);
		run("Paste");
	}
	run("Select None");
	selectImage(answer);
	close();
}

function runModel() {
	keys = newArray("model_path", "input_path", "output_folder", "display_output");
	if (OLD_KEYS) keys = newArray("modelPath", "inputPath", "outputFolder", "displayOutput");
	// display_output=all would show the answer in the network's units beside the result.
	run("DeepImageJ Run", keys[0] + "=[" + model + "] " + keys[1] + "=[" + path(folder + "/plane.tif") + "] "
		+ keys[2] + "=[" + path(folder + "/out") + "] " + keys[3] + "=null");
}

function path(file) {
	return replace(file, "\\", "/");
}

// DeepImageJ names its file after the input and the output tensor: plane_output.tif
function findResult() {
	files = getFileList(folder + "/out");
	for (i = 0; i < files.length; i++)
		if (endsWith(files[i], ".tif")) return folder + "/out/" + files[i];
	removeFolder();
	exit("DeepImageJ gave no result with the model " + model + ". Its reason stands in Window > Console.");
}

// Gives the number of files that stay. A plugin that fails does not end the macro: what DeepImageJ made of one plane
// must not lie there for the next.
function emptyOut() {
	files = getFileList(folder + "/out");
	for (i = 0; i < files.length; i++) gone = File.delete(folder + "/out/" + files[i]);
	files = getFileList(folder + "/out");
	return files.length;
}

function removeFolder() {
	left = emptyOut();
	gone = File.delete(folder + "/out");
	gone = File.delete(folder + "/plane.tif");
	gone = File.delete(folder);
}
