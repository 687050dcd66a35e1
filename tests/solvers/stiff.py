"""Four stiff initial value problems with reference states: PROBLEMS[name] = (f, y0, times, states),
states[i] at times[i + 1].

robertson: three reactions (Robertson 1966); Hairer & Wanner, Solving ODEs II, section IV.10
(ROBER); Bari IVP test set "rober". van_der_pol: mu = 1000, time not rescaled; Hairer & Wanner II,
IV.10 (VDPOL, eps = 1e-6) and Bari "vdpol", at t / 1000 with y2 * 1000. hires: High Irradiance
RESponse of plants (Schaefer 1975); Hairer & Wanner II, IV.10 (HIRES); Bari "hires". oregonator:
Belousov-Zhabotinskii model (Field & Noyes 1974); Hairer & Wanner II, IV.10 (OREGO, there t = 30,
60, ..., 360); Bari "orego".

The states are those of SciPy 1.17.1 solve_ivp(method="Radau", rtol=1e-12) in float64 with the
analytic Jacobian (checked by complex step), from t = 0 through all the times and restarted at each
one (so each state is a step's end, not dense output), rounded to 15 digits; atol was (1e-20, 1e-26,
1e-12) for robertson, (1e-12, 1e-15) for van_der_pol, 1e-16 for hires, 1e-12 for oregonator. No
component is crossing zero, and no time is near a fast jump: van_der_pol's y1 changes sign at t =
807.08 and 1614.29; oregonator's y1 is over 100 for 20.22 < t < 23.16 and 323.08 < t < 326.02 only.

Greatest relative difference, over all times and components, of these states from independent
computations:
                                                                                 robertson
                                                                                 van_der_pol  hires
                                                                                 oregonator
  Radau IIA, 11 stages, order 21, np.longdouble, tolerance 1e-17 (own code) (a)  2.6e-13    4.6e-14
  1.1e-13  3.1e-14 values published in the Bari test set, at the last time only (b)
  2.5e-13    6.8e-14      8.4e-14  1.3e-13 SciPy's Radau, rtol=1e-11, ten times the atol
  1.2e-13    1.2e-13      1.1e-13  9.4e-14 SciPy's LSODA, rtol=1e-13, a tenth of the atol
  1.1e-11    7.6e-12      4.4e-12  5.2e-11
(a) Itself within 4e-17 of its run with 9 stages at 1e-16, so the states below are good to 12
digits: test no closer than 1e-12. (b) Robertson's at t = 1e11: 2.083340149701255e-8,
8.333360770334713e-14, 0.9999999791665050; as copied in public ports of the test set. With atol
(1e-15, 1e-19, 1e-15) the same Radau run is off by 2e-9 in robertson's y1 and y2 at t = 1e11: that
atol is too coarse for them.
"""

import numpy as np


def robertson(t, y):
    a, b, c = 0.04 * y[0], 1e4 * y[1] * y[2], 3e7 * y[1] * y[1]
    return np.array([b - a, a - b - c, c])


def van_der_pol(t, y):
    return np.array([y[1], 1000.0 * (1.0 - y[0] * y[0]) * y[1] - y[0]])


def hires(t, y, rate=280.0):
    r = rate * y[5] * y[7]
    return np.array(
        [
            -1.71 * y[0] + 0.43 * y[1] + 8.32 * y[2] + 0.0007,
            1.71 * y[0] - 8.75 * y[1],
            -10.03 * y[2] + 0.43 * y[3] + 0.035 * y[4],
            8.32 * y[1] + 1.71 * y[2] - 1.12 * y[3],
            -1.745 * y[4] + 0.43 * y[5] + 0.43 * y[6],
            -r + 0.69 * y[3] + 1.71 * y[4] - 0.43 * y[5] + 0.69 * y[6],
            r - 1.81 * y[6],
            1.81 * y[6] - r,
        ]
    )


def oregonator(t, y):
    return np.array(
        [
            77.27 * (y[1] + y[0] * (1.0 - 8.375e-6 * y[0] - y[1])),
            (y[2] - (1.0 + y[0]) * y[1]) / 77.27,
            0.161 * (y[0] - y[2]),
        ]
    )


PROBLEMS = {  # name: (f, y0, times, the states at times[1:])
    "robertson": (
        robertson,
        [1.0, 0.0, 0.0],
        [0.0, 40.0, 4e3, 4e5, 1e11],
        [
            [0.715827068719406, 9.18553476455780e-6, 0.284163745745830],
            [0.183202257776710, 8.94237125277594e-7, 0.816796847986166],
            [0.00493827452098009, 1.98499408795449e-8, 0.995061705629080],
            [2.08334014970075e-8, 8.33336077033262e-14, 0.999999979166515],
        ],
    ),
    "van_der_pol": (
        van_der_pol,
        [2.0, 0.0],
        [0.0, 500.0, 1000.0, 2000.0],
        [
            [1.59676895105266, -0.00103039118783936],
            [-1.86364625480814, 0.000753543086543541],
            [1.70616773217043, -0.000892809701024858],
        ],
    ),
    "hires": (
        hires,
        [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0057],
        [0.0, 321.8122],
        [
            [
                0.000737131257332560,
                0.000144248572631617,
                5.88872974096746e-5,
                0.00117565134328314,
                0.00238635619883116,
                0.00623896825274227,
                0.00284999839518564,
                0.00285000160481435,
            ]
        ],
    ),
    "oregonator": (
        oregonator,
        [1.0, 2.0, 3.0],
        [0.0, 30.0, 60.0, 360.0],
        [
            [1.00066146718050, 1512.77893734823, 10358.5431276726],
            [1.00087462519963, 1144.33697238450, 83.7214996662486],
            [1.00081487031852, 1228.17852154989, 132.055494284653],
        ],
    ),
}
